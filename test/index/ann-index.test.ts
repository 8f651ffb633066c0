import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AnnIndex } from '../../src/index/ann-index.js';
import { createExactIndex } from '../../src/index/exact.js';
import { createHnswIndex } from '../../src/index/hnsw.js';
import { createVectorTable, makeChunk, type VectorTable } from '../../src/index/vector-table.js';

const DIM = 16;

/** Numbers in [-1, 1) that are the same on every run. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  };
}

function filledTable(count: number, normalised: boolean): VectorTable {
  const table = createVectorTable(DIM);
  table.attach(makeChunk(DIM));
  const next = randomNumbers(7);
  for (let slot = 0; slot < count; slot++) table.write(slot, Float32Array.from({ length: DIM }, next), normalised);
  return table;
}

const query = (seed: number): Float32Array => Float32Array.from({ length: DIM }, randomNumbers(seed));

/** What every index must hold; approximate ones are asked for as much as the table holds. */
function conformance(engine: string, create: (table: VectorTable) => AnnIndex): void {
  for (const normalised of [true, false]) {
    test(`${engine}, ${normalised ? 'cosine' : 'dot'}: the best come first with their true similarity`, () => {
      const table = filledTable(300, normalised);
      const index = create(table);
      for (let slot = 0; slot < 300; slot++) index.add(slot);
      const asked = query(3);
      const truth = Array.from({ length: 300 }, (_, slot) => table.similarity(asked, slot)).sort((a, b) => b - a);
      const { similarities } = index.search(asked, 20);
      assert.equal(similarities.length, 20);
      similarities.forEach((similarity, rank) => assert.ok(Math.abs(similarity - (truth[rank] ?? NaN)) < 1e-5));
    });
  }

  test(`${engine}: a removed slot is never found; an added one is at once, at its new vector`, () => {
    const table = filledTable(50, true);
    const index = create(table);
    for (let slot = 0; slot < 50; slot++) index.add(slot);
    const asked = query(5);
    const best = index.search(asked, 1).slots[0] ?? -1;
    index.remove(best);
    assert.ok(!index.search(asked, 50).slots.includes(best));
    assert.equal(index.size, 49);
    table.write(
      best,
      asked.map((value) => -value),
      true,
    );
    index.add(best);
    assert.equal(index.search(asked, 50).slots.at(-1), best);
    table.write(best, asked, true);
    index.add(best);
    assert.equal(index.search(asked, 1).slots[0], best);
    assert.equal(index.size, 50);
  });

  test(`${engine}: an empty index, and one smaller than asked, answer with what they hold`, () => {
    const table = filledTable(3, true);
    const index = create(table);
    assert.equal(index.search(query(1), 10).slots.length, 0);
    index.add(1);
    index.remove(2);
    assert.deepEqual([...index.search(query(1), 10).slots], [1]);
    index.remove(1);
    assert.equal(index.search(query(1), 10).slots.length, 0);
  });

  test(`${engine}: it grows beyond its first capacity`, () => {
    const table = filledTable(1500, true);
    const index = create(table);
    for (let slot = 0; slot < 1500; slot++) index.add(slot);
    assert.equal(index.size, 1500);
    assert.equal(new Set(index.search(query(2), 1500).slots).size, 1500);
  });
}

conformance('exact', createExactIndex);
conformance('hnsw', (table) => createHnswIndex(table, { m: 16, efConstruction: 200, ef: 300 }));
