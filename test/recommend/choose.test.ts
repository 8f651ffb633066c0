import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Item } from '../../src/domain/item.js';
import { chooseApart, chooseFirst, counterOf } from '../../src/recommend/choose.js';
import { idsOf, itemOf, ranked } from './memory-context.js';

const caps = [{ field: 'author_id', max: 1 }];
const of = (...authors: (string | null)[]) => authors.map((author, n) => ranked(itemOf(`v${n}`, n, { author_id: author }), authors.length - n));
/** Items of one author point one way, each author another. */
const byAuthor = {
  vectors: async (items: readonly Item[]) => Float32Array.from(items.flatMap(({ fields }) => (fields.author_id === 'a' ? [1, 0] : [0, 1]))),
};

test('the first k within the caps are chosen; items without the field do not count', () => {
  const candidates = of('a', 'a', null, null, 'b', 'c');
  assert.deepEqual(idsOf(chooseFirst(candidates, 4, counterOf(caps))), ['v0', 'v2', 'v3', 'v4']);
  assert.deepEqual(idsOf(chooseFirst(candidates, 2, counterOf([]))), ['v0', 'v1']);
  assert.deepEqual(chooseFirst(candidates, 0, counterOf(caps)), []);
});

test('a factor lets through that many times more', () => {
  assert.equal(counterOf([], 5), null);
  assert.equal(chooseFirst(of('a', 'a', 'a', 'a'), 10, counterOf(caps, 3)).length, 3);
});

test('only what stands elsewhere than by score was moved by diversity', async () => {
  const candidates = of('a', 'a', 'a', 'b');
  const options = { k: 3, caps: [], diversity: 0.9 };
  const chosen = await chooseApart(candidates, candidates.slice(0, 3), options, byAuthor);
  assert.deepEqual(
    chosen.map(({ item, movedBy }) => [item.fields.item_id, movedBy]),
    [
      ['v0', []],
      ['v3', ['diversity']],
      ['v1', ['diversity']],
    ],
  );
});

test('diversity and caps together still bring k items where there are as many authors', async () => {
  const candidates = of(...Array.from({ length: 200 }, (_, n) => (n < 190 ? 'a' : `b${n}`)));
  const first = chooseFirst(candidates, 8, counterOf(caps));
  const chosen = await chooseApart(candidates, first, { k: 8, caps, diversity: 1 }, byAuthor);
  assert.equal(new Set(chosen.map(({ item }) => item.fields.author_id)).size, 8);
});
