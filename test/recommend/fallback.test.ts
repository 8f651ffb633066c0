import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Item } from '../../src/domain/item.js';
import { createPopularity } from '../../src/signals/popularity.js';

test('going through a catalogue ends with what was there when it began, however much is loaded meanwhile', async () => {
  const itemOf = (n: number): Item => ({
    fields: { item_id: `v${n}`, title: null, author_id: `a${n % 3}`, attributes: {}, available_from: null, expires_at: null, hidden: false },
    created: n,
    idShare: null,
    index: n,
  });
  function* endless(): Generator<Item> {
    for (let n = 0; ; n++) yield itemOf(n);
  }
  const catalogue = { size: 3000, items: endless };
  const popularity = await createPopularity({ origin: 0, halfLifeMs: 3_600_000, isKnown: () => true, initial: { positives: [], impressions: [] } });
  const best = await popularity.best(catalogue, 5000, 10, () => true);
  assert.deepEqual([best.length, best[0]?.fields.item_id], [10, 'v2999']);
  const groups = await popularity.byValue(catalogue, 5000, 'author_id', 1000);
  assert.deepEqual(
    groups.map(([first]) => first?.fields.item_id),
    ['v2999', 'v2998', 'v2997'],
  );
});
