import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHUNK_SLOTS, createVectorTable, makeChunk } from '../../src/index/vector-table.js';

const SLOTS = [3, 0, CHUNK_SLOTS + 5, 3];

for (const dim of [1, 7, 8, 64, 130]) {
  for (const first of [0, 1, 2]) {
    test(`gather writes the vectors of ${dim} numbers one after the other from ${first} on, and nothing else`, () => {
      const table = createVectorTable(dim);
      table.attach(makeChunk(dim));
      table.attach(makeChunk(dim));
      const vectorOf = (slot: number): Float32Array => Float32Array.from({ length: dim }, (_, i) => (slot % 100) + i / 1000 - 2);
      for (const slot of SLOTS) table.write(slot, vectorOf(slot), true);
      const target = new Float32Array(first + SLOTS.length * dim + 3).fill(9);
      table.gather(Int32Array.from(SLOTS), target, first);
      const expected = [...new Array<number>(first).fill(9), ...SLOTS.flatMap((slot) => [...vectorOf(slot)]), 9, 9, 9];
      assert.deepEqual([...target], expected);
    });
  }
}
