import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANYTHING, type EligibilityRules } from '../../src/domain/eligibility.js';
import type { Filter } from '../../src/domain/filter.js';
import type { Item } from '../../src/domain/item.js';
import { popularItems } from '../../src/recommend/fallback.js';
import type { ItemSource, RankedItem } from '../../src/recommend/source.js';
import { CREATED, fieldsOf, idsOf, memoryContext, type ContextItem, type MemoryContext } from './memory-context.js';
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
  const popularity = await createPopularity({
    now: () => 5000,
    halfLifeMs: 3_600_000,
    isKnown: () => true,
    initial: { positives: [], impressions: [] },
  });
  const best = await popularity.best(catalogue, 5000, 10, () => true);
  assert.deepEqual([best.length, best[0]?.fields.item_id], [10, 'v2999']);
  const groups = await popularity.byValue(catalogue, 5000, 'author_id', 1000);
  assert.deepEqual(
    groups.map(([first]) => first?.fields.item_id),
    ['v2999', 'v2998', 'v2997'],
  );
});

/** p0, p1, … ever less popular, and ever newer. */
const popular = (count: number, rest: (n: number) => Partial<ContextItem> = () => ({})): ContextItem[] =>
  Array.from({ length: count }, (_, n) => ({ id: `p${n}`, positives: 1 + count - n, created: CREATED - 1000 + n, ...rest(n) }));
const sourceOf = ({ context }: MemoryContext, rules: EligibilityRules = ANYTHING, mixBy: string | null = null): Promise<ItemSource> =>
  popularItems(context, rules, mixBy);
async function drain(source: ItemSource, admits: Filter | null = null): Promise<RankedItem[]> {
  const all: RankedItem[] = [];
  for (;;) {
    const page = await source.next(3, admits);
    if (page.length === 0) return all;
    all.push(...page);
  }
}

test('the popular come first, every fifth place has the newest; an item is ordered by its place, and scored by its events', async () => {
  const items = await drain(await sourceOf(await memoryContext(popular(12))));
  assert.deepEqual(idsOf(items), ['p0', 'p1', 'p2', 'p3', 'p11', 'p4', 'p5', 'p6', 'p7', 'p10', 'p8', 'p9']);
  items.forEach(({ rankScore, reason }, n) => assert.deepEqual([rankScore, reason], [-Math.log(n + 1), 'popular']));
  assert.ok(Math.abs((items[0]?.score ?? 0) - 13) < 0.1);
});

test('what was deleted, hidden or replaced since the ranking was made does not slip through', async () => {
  const feed = await memoryContext(popular(6));
  await drain(await sourceOf(feed));
  await feed.retrieval.apply([
    { kind: 'delete', itemId: 'p0' },
    { kind: 'fields', fields: fieldsOf('p1', { hidden: true }) },
    { kind: 'put', fields: fieldsOf('p2', { title: 'new' }), created: CREATED, stored: null },
  ]);
  const items = await drain(await sourceOf(feed));
  assert.deepEqual([...idsOf(items)].sort(), ['p2', 'p3', 'p4', 'p5']);
  assert.equal(items.find(({ item }) => item.fields.item_id === 'p2')?.item.fields.title, 'new');
});

test('what is newer than the ranking follows it, each item once', async () => {
  const feed = await memoryContext(popular(6));
  await drain(await sourceOf(feed));
  await feed.retrieval.apply([{ kind: 'put', fields: fieldsOf('late'), created: CREATED, stored: null }]);
  const ids = idsOf(await drain(await sourceOf(feed)));
  assert.deepEqual([ids.length, ids.at(-1)], [7, 'late']);
});

test('beyond the ranking what the caps do not admit is held back until they admit everything', async () => {
  const feed = await memoryContext(popular(2));
  await drain(await sourceOf(feed));
  const late = ['a', 'b', 'a', 'b'].map((author, n) => ({
    kind: 'put' as const,
    fields: fieldsOf(`late${n}`, { author_id: author }),
    created: CREATED - n,
    stored: null,
  }));
  await feed.retrieval.apply(late);
  const source = await sourceOf(feed);
  const admitted = idsOf(await drain(source, { not: { field: { builtIn: 'author_id' }, in: ['a'], instants: [] } }));
  assert.deepEqual([...admitted].sort(), ['late1', 'late3', 'p0', 'p1']);
  assert.deepEqual(idsOf(await drain(source)), ['late0', 'late2']);
});

test('what is still to come is never ordered before the bound', async () => {
  const source = await sourceOf(await memoryContext(popular(20)));
  for (;;) {
    const bound = source.upperBound();
    const page = await source.next(4, null);
    if (page.length === 0) break;
    for (const { rankScore } of page) assert.ok(rankScore <= bound);
  }
  assert.equal(source.upperBound(), -Infinity);
});

test('only eligible items come', async () => {
  const feed = await memoryContext(popular(8, (n) => (n === 1 ? { fields: { hidden: true } } : {})));
  const seen = new Map([[(await feed.itemOf('p2')).index, 1]]);
  const ids = idsOf(await drain(await sourceOf(feed, { ...ANYTHING, seen, excludedIds: new Set(['p0']) })));
  assert.deepEqual([...ids].sort(), ['p3', 'p4', 'p5', 'p6', 'p7']);
});

test('the values of an attribute take turns; items without it are a group, and an item of two comes once', async () => {
  const tags = [['x'], ['x'], ['y', 'x'], ['y'], undefined, ['x']];
  const items = popular(6, (n) => ({ fields: { attributes: tags[n] === undefined ? {} : { tags: tags[n] } } }));
  const feed = await memoryContext(items);
  assert.deepEqual(idsOf(await drain(await sourceOf(feed, ANYTHING, 'attributes.tags'))), ['p0', 'p2', 'p4', 'p1', 'p3', 'p5']);
  const without = { ...ANYTHING, excludedIds: new Set(['p2']) };
  assert.deepEqual(idsOf(await drain(await sourceOf(feed, without, 'tags'))), ['p0', 'p3', 'p4', 'p1', 'p5'], 'a turn is not lost');
});
