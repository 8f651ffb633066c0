import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countCaps, type Cap } from '../../src/domain/caps.js';
import { matcherOf } from '../../src/domain/filter.js';
import type { Item } from '../../src/domain/item.js';
import { randomOf } from '../random.js';

const itemOf = (attributes: Record<string, unknown>, author: string | null = null): Item => ({
  fields: { item_id: 'v', title: null, author_id: author, attributes, available_from: null, expires_at: null, hidden: false },
  created: 0,
  idShare: null,
  index: 0,
});

test('what remains, as a filter, lets through what the caps admit', () => {
  const random = randomOf(7);
  const pick = <Value>(values: readonly Value[]): Value => values[Math.floor(random() * values.length)] as Value; // random() < 1
  const values = ['1', 1, true, 'true', '2026-10-05T00:00:00Z', '2026-10-05T02:00:00+02:00', null, ['1', 1], [true, true], [], 'x'];
  const draw = (): Item =>
    itemOf({ kind: pick(values), author_id: pick(['a', 'b']), ...(random() < 0.5 ? { tags: pick(values) } : {}) }, pick(['a', 'b', null]));
  const fields = ['kind', 'attributes.tags', 'author_id', 'attributes.author_id', 'missing'];
  for (let round = 0; round < 200; round++) {
    const caps = Array.from({ length: 1 + Math.floor(random() * 3) }, (): Cap => ({ field: pick(fields), max: 1 + Math.floor(random() * 3) }));
    const counter = countCaps(caps);
    for (let n = 0; n < 12; n++) {
      const remaining = counter.remaining();
      const matches = remaining === null ? () => true : matcherOf(remaining);
      for (let asked = 0; asked < 20; asked++) {
        const item = draw();
        assert.equal(matches(item), counter.admits(item), JSON.stringify({ caps, remaining, item }));
      }
      const next = draw();
      if (counter.admits(next)) counter.count(next);
    }
  }
});

test('while no value is full everything remains', () => {
  const counter = countCaps([{ field: 'kind', max: 2 }]);
  assert.equal(counter.remaining(), null);
  counter.count(itemOf({ kind: 'x' }));
  assert.equal(counter.remaining(), null);
  counter.count(itemOf({ kind: 'x' }));
  assert.deepEqual(counter.remaining(), { all: [{ not: { field: { attribute: 'kind' }, in: ['x'], instants: [] } }] });
});

test('items without the field do not count, and an entry that stands twice counts once', () => {
  const counter = countCaps([{ field: 'tags', max: 2 }]);
  for (let n = 0; n < 5; n++) counter.count(itemOf({}));
  counter.count(itemOf({ tags: ['x', 'x'] }));
  assert.equal(counter.admits(itemOf({ tags: ['y', 'x'] })), true);
  counter.count(itemOf({ tags: ['y', 'x'] }));
  assert.deepEqual(
    [['x'], ['y'], ['y', 'x'], []].map((tags) => counter.admits(itemOf({ tags }))),
    [false, true, false, true],
  );
});

test('every cap must admit an item, and a factor makes each wider', () => {
  const caps = [
    { field: 'kind', max: 1 },
    { field: 'author_id', max: 2 },
  ];
  const counter = countCaps(caps, 2);
  for (let n = 0; n < 2; n++) counter.count(itemOf({ kind: 'x' }, 'a'));
  assert.deepEqual([counter.admits(itemOf({ kind: 'x' }, 'b')), counter.admits(itemOf({ kind: 'y' }, 'a'))], [false, true]);
});
