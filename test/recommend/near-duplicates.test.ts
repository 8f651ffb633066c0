import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recommend } from '../../src/recommend/pipeline.js';
import type { RecommendAnswer } from '../../src/recommend/answer.js';
import type { RecommendRequest } from '../../src/recommend/request.js';
import { CREATED, falling, idsOf, memoryContext, type ContextItem, type ContextOptions } from './memory-context.js';

const DISTINCT = 0.999999;

async function feedOf(items: readonly ContextItem[], options: ContextOptions = {}) {
  const { context, requestOf } = await memoryContext(items, options);
  return (request: Partial<RecommendRequest>): Promise<RecommendAnswer> => recommend(context, requestOf({ maxSimilarity: DISTINCT, ...request }));
}

/** Each of the items c times; a0-0, a0-1, … score best. */
const copied = (count: number, copies: number, rest: (n: number, copy: number) => Partial<ContextItem> = () => ({})): ContextItem[] =>
  Array.from({ length: count * copies }, (_, i) => {
    const [n, copy] = [Math.floor(i / copies), i % copies];
    return { id: `a${n}-${copy}`, similarity: 1 - n / (2 * count), ...rest(n, copy) };
  });
const groupsOf = ({ items }: RecommendAnswer): string[] => idsOf(items).map((id) => id.split('-')[0] ?? '');
const range = (count: number, first = 0): string[] => Array.from({ length: count }, (_, n) => `a${first + n}`);

test('an answer shows each clip once, and holds as many as asked while there are so many different ones', async () => {
  const ask = await feedOf(copied(30, 40));
  const answer = await ask({ k: 20 });
  assert.deepEqual([groupsOf(answer), answer.shortReason], [range(20), null]);
  const all = await ask({ k: 50 });
  assert.deepEqual([groupsOf(all), all.shortReason], [range(30), 'near_duplicates']);
  assert.deepEqual(groupsOf(await ask({ k: 3, maxSimilarity: null })), ['a0', 'a0', 'a0'], 'only when asked for');
});

test('five thousand copies before all others hide none of them', async () => {
  const ask = await feedOf([...copied(1, 5000), ...falling(30, 0.01).map((item) => ({ ...item, similarity: (item.similarity ?? 0) / 2 }))]);
  const answer = await ask({ k: 31 });
  assert.deepEqual([answer.items.length, answer.shortReason], [31, null]);
});

test('alike is what the greatest similarity says', async () => {
  const ask = await feedOf(falling(10, 0.1));
  assert.equal((await ask({ k: 10 })).items.length, 10);
  const answer = await ask({ k: 10, maxSimilarity: 0.99 });
  assert.ok(answer.items.length < 10);
  assert.equal(answer.shortReason, 'near_duplicates');
});

test('a copy takes the place of a clip that a cap refuses', async () => {
  const author = (n: number, copy: number): Partial<ContextItem> => ({ fields: { author_id: copy === 1 ? `re-${n}` : 'busy' } });
  const ask = await feedOf(copied(10, 2, author));
  const answer = await ask({ k: 10, caps: [{ field: 'author_id', max: 3 }] });
  assert.deepEqual([groupsOf(answer).sort(), answer.shortReason], [range(10).sort(), null]);
});

test('diversity, similar items, boosts and the fallback ranking show no copies either', async () => {
  const ask = await feedOf(
    copied(12, 5, (n, copy) => ({ positives: 100 - n - copy / 10 })),
    { users: { new: {} } },
  );
  assert.deepEqual(groupsOf(await ask({ k: 12, diversity: 0.5 })).sort(), range(12).sort());
  const similar = groupsOf(await ask({ k: 12, similarTo: 'a3-2', history: [] }));
  assert.equal(new Set(similar).size, similar.length);
  assert.equal(similar.length, 12);
  assert.deepEqual(groupsOf(await ask({ k: 12, boosts: [{ filter: { field: 'item_id', eq: 'a11-4' }, factor: 1000 }] })).sort(), range(12).sort());
  const fallback = await ask({ k: 12, userId: 'new', history: [] });
  assert.deepEqual([fallback.fallback, groupsOf(fallback).sort()], ['no_history', range(12).sort()]);
});

test('a pinned clip comes in no other version, nor does an explored one', async () => {
  const ask = await feedOf(copied(10, 3, (n) => ({ created: CREATED - n })));
  const pinned = await ask({ k: 10, pins: [{ itemId: 'a4-2', position: 1 }] });
  assert.deepEqual([groupsOf(pinned).sort(), idsOf(pinned.items)[0]], [range(10).sort(), 'a4-2']);
  const explored = groupsOf(await ask({ k: 6, exploration: { slots: 2, seed: 1 } }));
  assert.equal(explored.length, 6);
  assert.equal(new Set(explored).size, 6);
});

test('pages of a session show no clip twice, by the model and by the fallback ranking', async () => {
  for (const history of [['me'], []]) {
    const ask = await feedOf(
      copied(30, 4, (n) => ({ positives: 100 - n })),
      { users: { new: {} } },
    );
    const shown: string[] = [];
    let cursor: string | null = null;
    do {
      const page: RecommendAnswer = await ask({ k: 7, cursor, history, userId: 'new' });
      shown.push(...groupsOf(page));
      cursor = page.nextCursor;
    } while (cursor !== null);
    assert.deepEqual(shown.sort(), range(30).sort());
  }
});

test('a field of which each value comes once', async () => {
  const ask = await feedOf(copied(10, 3, (n) => ({ fields: { attributes: { original: `o${n % 5}` } } })));
  const answer = await ask({ k: 10, distinctBy: 'original', maxSimilarity: null });
  assert.deepEqual([groupsOf(answer), answer.shortReason], [range(5), 'caps']);
  await assert.rejects(ask({ k: 10, distinctBy: 'misspelt' }), {
    errors: [{ pointer: '/distinct_by', detail: 'no item has had the attribute "misspelt", and it is not declared' }],
  });
});
