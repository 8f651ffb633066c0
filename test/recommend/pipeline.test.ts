import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RecommendAnswer } from '../../src/recommend/answer.js';
import type { RecommendRequest } from '../../src/recommend/request.js';
import { falling, memoryFeed, type MemoryFeed } from './memory-feed.js';

const idsOf = ({ items }: RecommendAnswer): string[] => items.map(({ item }) => item.fields.item_id);
const range = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, n) => `v${from + n}`);
/** As a user without history. */
const stranger: Partial<RecommendRequest> = { history: [], userId: 'stranger' };
const onePerAuthor = [{ field: 'author_id', max: 1 }];

test('with a cap there are k items whenever there are k authors, whatever else is asked for', async () => {
  const feed = await memoryFeed(falling(400, 0.001, (n) => ({ author: n < 350 ? 'busy' : `author-${n}`, positives: 400 - n })));
  const wishes: Partial<RecommendRequest>[] = [
    {},
    { diversity: 0.3 },
    { freshness: { halfLifeMs: 1000, factor: 2 } },
    { diversity: 1, boosts: [{ filter: { field: 'author_id', eq: 'busy' }, factor: 100 }] },
    { diversity: 0.5, minScore: 0.1 },
  ];
  for (const exact of [false, true])
    for (const who of [{}, stranger])
      for (const wish of wishes) {
        const answer = await feed.ask({ ...who, ...wish, exact, caps: onePerAuthor, k: 40 });
        assert.equal(answer.items.length, 40, JSON.stringify({ who, wish, exact }));
        assert.equal(new Set(answer.items.map(({ item }) => item.fields.author_id)).size, 40);
        assert.equal(answer.shortReason, null);
        const few = await feed.ask({ ...who, ...wish, exact, caps: onePerAuthor, k: 100 });
        assert.deepEqual([few.items.length, few.shortReason], [51, 'caps']);
      }
  assert.deepEqual(await feed.ids({ caps: onePerAuthor, k: 3 }), ['v0', 'v350', 'v351']);
});

test('caps on lists count each entry, an entry that stands twice once', async () => {
  const feed = await memoryFeed(
    falling(40, 0.01, (n) => ({ attributes: { tags: n % 2 === 0 ? ['all', 'all', `tag-${n}`] : ['all', `tag-${n % 10}`, `tag-${n % 10}`] } })),
  );
  assert.deepEqual(await feed.ids({ k: 10, caps: [{ field: 'tags', max: 2 }] }), ['v0', 'v1']);
  const odd = await feed.ids({ k: 40, caps: [{ field: 'attributes.tags', max: 40 }] });
  assert.equal(odd.length, 40);
});

test('beyond the 10,000 best, caps and rules still find what they let through', async () => {
  const late = (n: number): boolean => n >= 14_990;
  const feed = await memoryFeed(falling(15_000, 0.00005, (n) => ({ author: late(n) ? `author-${n}` : 'busy', hidden: n > 0 && n < 10_500 })));
  const answer = await feed.ask({ k: 20, caps: onePerAuthor, diversity: 0.2 });
  assert.deepEqual([answer.items.length, answer.shortReason, answer.endReason], [11, 'caps', null]);
  assert.deepEqual(new Set(idsOf(answer)), new Set(['v0', ...range(14_990, 15_000)]));
  const hidden = await feed.ask({ k: 20 });
  assert.deepEqual(idsOf(hidden), ['v0', ...range(10_500, 10_519)]);
  const popular = await feed.ask({ ...stranger, k: 20, caps: onePerAuthor });
  assert.deepEqual(new Set(idsOf(popular)).size, 11);
});

test('what the graph has lost is found all the same, and its word that there is no more is not taken', async () => {
  const feed = await memoryFeed(falling(400, 0.001), 7);
  assert.deepEqual(await feed.ids({ k: 10 }), range(0, 10));
  const all = await feed.ask({ k: 500 });
  assert.deepEqual([all.items.length, all.shortReason], [400, 'catalogue_exhausted']);
});

test('a boost reaches as deep as its factor may lift: what is nearest, but boosted down, gives way', async () => {
  const down = { filter: { field: 'kind', eq: 'near' }, factor: 0.001 };
  const kind = (n: number) => ({ attributes: { kind: n < 150 ? 'near' : 'far' } });
  const feed = await memoryFeed(falling(3000, 0.0001, kind));
  assert.deepEqual(await feed.ids({ boosts: [down] }), range(150, 160));
  assert.deepEqual(await feed.ids({ boosts: [{ filter: { field: 'kind', eq: 'far' }, factor: 1000 }] }), range(150, 160));
  assert.deepEqual(await feed.ids({ boosts: [down], exact: true }), range(150, 160));
  assert.deepEqual(await feed.ids({ boosts: [down], minScore: 9.95 }), range(0, 10), 'nothing else scores enough');
  const popular = await memoryFeed(falling(3000, 0, (n) => ({ ...kind(n), positives: 3000 - n })));
  const { items } = await popular.ask({ ...stranger, k: 30, boosts: [{ ...down, factor: 0.0001 }] });
  assert.ok(items.every(({ item }) => item.fields.attributes.kind === 'far'));
});

test('a boost that cannot change the answer costs no wider search, nor does a score that is too low', async () => {
  const feed = await memoryFeed(falling(3000, 0.001, (n) => ({ attributes: { kind: n % 2 === 0 ? 'a' : 'b' } })));
  await feed.ask({ boosts: [{ filter: { field: 'kind', eq: 'a' }, factor: 2 }] });
  assert.equal(feed.searches.length, 1);
  const cut = await feed.ask({ minScore: 9.955, k: 10 });
  assert.deepEqual([cut.items.length, cut.shortReason, feed.searches.length], [5, 'min_score', 2]);
});

test('what is not eligible does not change what boosts and diversity choose from', async () => {
  const items = Array.from({ length: 300 }, (_, n) => ({
    id: `i${String(n).padStart(3, '0')}`,
    similarity: 1 - n / 300,
    aside: Math.sin(n),
    attributes: { late: n >= 100 },
  }));
  const wanted = { k: 20, diversity: 0.8, boosts: [{ filter: { field: 'late', eq: true }, factor: 10 }] };
  const others = Array.from({ length: 30 }, (_, n) => ({ id: `out${n}`, similarity: n < 5 ? 0.9 : 0 }));
  const expected = await (await memoryFeed(items)).ids(wanted);
  const feed = await memoryFeed([...items, ...others]);
  assert.deepEqual(await feed.ids({ ...wanted, exclude: others.map(({ id }) => id) }), expected);
});

test('diversity says that it has moved an item only where the order by score would be another', async () => {
  const feed = await memoryFeed(falling(100, 0.001, (n) => ({ author: `author-${Math.floor(n / 5)}`, aside: n % 3 })));
  const capped = await feed.ask({ k: 10, caps: onePerAuthor, diversity: 0.000001 });
  assert.deepEqual(idsOf(capped), await feed.ids({ k: 10, caps: onePerAuthor }));
  for (const { movedBy } of capped.items) assert.deepEqual(movedBy, []);
  const plain = await feed.ids({ k: 10 });
  const diverse = await feed.ask({ k: 10, diversity: 0.95 });
  assert.notDeepEqual(idsOf(diverse), plain);
  for (const [place, { item, movedBy }] of diverse.items.entries())
    assert.deepEqual(movedBy, plain[place] === item.fields.item_id ? [] : ['diversity'], String(place));
});

test('a fallback ranking that is mixed gives every value its turn, however rare it is', async () => {
  const rare = (n: number): string => (n < 5900 ? 'en' : n < 5950 ? 'hr' : 'mt');
  const feed = await memoryFeed(
    falling(6000, 0, (n) => ({
      attributes: n === 5999 ? { tags: ['x', 'y'] } : { language: rare(n), tags: ['x'] },
      positives: 6000 - n,
      created: n,
    })),
  );
  const mix = (field: string, wish: Partial<RecommendRequest> = {}) => feed.ids({ ...stranger, k: 8, fallbackMix: field, ...wish });
  assert.deepEqual(await mix('language'), ['v0', 'v5900', 'v5950', 'v5999', 'v1', 'v5901', 'v5951', 'v2']);
  assert.deepEqual(await mix('attributes.language', { exclude: ['v5900', 'v5950'] }), [
    'v0',
    'v5901',
    'v5951',
    'v5999',
    'v1',
    'v5902',
    'v5952',
    'v2',
  ]);
  assert.deepEqual((await mix('tags')).slice(0, 4), ['v0', 'v5999', 'v1', 'v2'], 'an item of two lists comes once');
  const all = await mix('language', { k: 6001 });
  assert.deepEqual([all.length, new Set(all).size], [6000, 6000]);
});

const caps = [{ field: 'author_id', max: 2 }];
const explored = ({ items }: RecommendAnswer) => items.filter(({ reason }) => reason === 'exploration');
const withNewcomers = (): Promise<MemoryFeed> =>
  memoryFeed(falling(200, 0.001, (n) => ({ author: `author-${n % 20}`, created: n < 100 ? 1 : Date.now() - n })));

test('places that are pinned and places for new items share the k there are, and what is drawn is shown', async () => {
  const feed = await withNewcomers();
  for (let seed = 0; seed < 20; seed++) {
    const pins = [1, 2, 3].map((position) => ({ itemId: `v${150 + position}`, position }));
    const answer = await feed.ask({ k: 5, pins, exploration: { slots: 5, seed } });
    assert.deepEqual(
      answer.items.map(({ reason }) => reason),
      ['pinned', 'pinned', 'pinned', 'exploration', 'exploration'],
    );
    // 100 new ones, 3 of them pinned
    for (const { propensity } of explored(answer)) assert.equal(propensity, 2 / 97);
  }
  const all = await feed.ask({ k: 2, pins: [1, 2].map((position) => ({ itemId: `v${position}`, position })), exploration: { slots: 2, seed: 1 } });
  assert.deepEqual(idsOf(all), ['v1', 'v2']);
});

test('new items obey the caps together with the others, and are drawn as often as their propensity says', async () => {
  const feed = await withNewcomers();
  const drawn = new Map<string, number>();
  const promised = new Map<string, number>();
  for (let seed = 0; seed < 300; seed++) {
    const answer = await feed.ask({ k: 30, caps, exploration: { slots: 4, seed } });
    assert.equal(answer.items.length, 30);
    assert.equal(explored(answer).length, 4);
    const authors = new Map<string | null, number>();
    for (const { item } of answer.items) authors.set(item.fields.author_id, (authors.get(item.fields.author_id) ?? 0) + 1);
    assert.ok(Math.max(...authors.values()) <= 2);
    for (const { item, propensity } of explored(answer)) {
      drawn.set(item.fields.item_id, (drawn.get(item.fields.item_id) ?? 0) + 1);
      promised.set(item.fields.item_id, propensity ?? 0);
    }
  }
  for (const [id, times] of drawn) assert.ok(Math.abs(times / 300 - (promised.get(id) ?? 0)) < 0.1, id);
  const full = await feed.ask({ k: 40, caps, exploration: { slots: 4, seed: 1 } });
  assert.deepEqual([full.items.length, explored(full).length], [40, 4], 'ranked items give way to new ones of their authors');
});

test('a page that the caps have cut short is followed by others, until nothing is left', async () => {
  const feed = await memoryFeed(falling(9, 0.01, (n) => ({ author: n < 6 ? 'busy' : `author-${n}` })));
  const pages: string[][] = [];
  let cursor: string | null = null;
  for (let page = 0; page < 10; page++) {
    const answer: RecommendAnswer = await feed.ask({ k: 10, caps: onePerAuthor, cursor });
    pages.push(idsOf(answer));
    cursor = answer.nextCursor;
    assert.equal(answer.endReason, cursor === null ? 'exhausted' : null);
    if (cursor === null) break;
    assert.equal(answer.shortReason, 'caps');
  }
  assert.deepEqual(pages, [['v0', 'v6', 'v7', 'v8'], ['v1'], ['v2'], ['v3'], ['v4'], ['v5']]);
});

test('a session that has shown 5,000 items says that it is full', async () => {
  const feed = await memoryFeed(falling(5700, 0.0001));
  let cursor: string | null = null;
  const seen = new Set<string>();
  let last: RecommendAnswer;
  do {
    last = await feed.ask({ k: 500, cursor });
    for (const id of idsOf(last)) seen.add(id);
    cursor = last.nextCursor;
  } while (cursor !== null);
  assert.deepEqual([seen.size, last.items.length, last.shortReason, last.endReason], [5500, 500, null, 'session_full']);
});

test('pages that have shown all that a filter lets through say that there is no more, not that the filter is to blame', async () => {
  const feed = await memoryFeed(falling(30, 0.01, (n) => ({ attributes: { live: n < 8 } })));
  const filter = { field: 'live', eq: true };
  const first = await feed.ask({ k: 5, filter });
  const second = await feed.ask({ k: 5, filter, cursor: first.nextCursor });
  assert.deepEqual([idsOf(second), second.shortReason], [['v5', 'v6', 'v7'], 'catalogue_exhausted']);
  assert.equal((await feed.ask({ k: 10, filter })).shortReason, 'filter');
});

test('the longest lists and the tightest caps leave the event loop its turns, and what cannot be is not searched for', async () => {
  const feed = await memoryFeed(falling(40_000, 0.00002, (n) => ({ author: `author-${n % 10}`, aside: n % 7 })));
  const turnsOf = async (request: Partial<RecommendRequest>): Promise<number> => {
    let turns = 0;
    let isRunning = true;
    const count = (): void => {
      turns++;
      if (isRunning) setImmediate(count);
    };
    setImmediate(count);
    await feed.ask(request);
    isRunning = false;
    return turns;
  };
  assert.ok((await turnsOf({ k: 500, diversity: 0.5 })) > 10);
  feed.searches.length = 0;
  assert.ok((await turnsOf({ k: 20, caps: onePerAuthor })) > 3);
  assert.deepEqual(
    feed.searches.map(({ count, options }) => [count > 1000, options?.exact ?? false, options?.allowed?.count ?? null]),
    [
      [false, false, null],
      [false, false, null],
      [false, true, 0],
    ],
  );
});
