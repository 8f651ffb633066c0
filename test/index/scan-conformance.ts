import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ScanIndex } from '../../src/index/ann-index.js';
import { createExactIndex } from '../../src/index/exact.js';
import { CHUNK_SLOTS, createVectorTable, makeChunk, type VectorTable } from '../../src/index/vector-table.js';
import { signedRandomOf } from '../random.js';

const DIM = 16;
const BATCH = 5;
const NONE = new Int32Array(0);

function filledTable(count: number, normalised: boolean, dim = DIM): VectorTable {
  const table = createVectorTable(dim);
  for (let slot = 0; slot < count; slot += CHUNK_SLOTS) table.attach(makeChunk(dim));
  const next = signedRandomOf(7);
  for (let slot = 0; slot < count; slot++) table.write(slot, Float32Array.from({ length: dim }, next), normalised);
  return table;
}

const queriesOf = (dim: number): Float32Array => Float32Array.from({ length: BATCH * dim }, signedRandomOf(3));

/** What every scan must hold. @param tolerance share of the true neighbours that may be missing */
export function scanConformance(engine: string, create: (table: VectorTable) => ScanIndex, tolerance: number): void {
  const check = async (scan: ScanIndex, table: VectorTable, slots: Iterable<number>, except: Int32Array = NONE, count = 20): Promise<void> => {
    const { dim } = table;
    const queries = queriesOf(dim);
    const excepted = new Set(except);
    const exact = createExactIndex(table);
    for (const slot of slots) if (!excepted.has(slot)) exact.add(slot);
    const found = await scan.search(
      queries,
      Array.from({ length: BATCH }, () => ({ count, excluded: except })),
    );
    let missed = 0;
    found.forEach((neighbours, position) => {
      const query = queries.subarray(position * dim, (position + 1) * dim);
      const truth = exact.search(query, count);
      assert.equal(neighbours.slots.length, truth.slots.length);
      if (tolerance === 0) assert.deepEqual(neighbours, truth);
      const wanted = new Set(truth.slots);
      for (const [rank, slot] of neighbours.slots.entries()) {
        assert.ok(!excepted.has(slot));
        const similarity = table.similarity(query, slot);
        assert.ok(Math.abs((neighbours.similarities[rank] as number) - similarity) < 1e-6 * Math.max(1, Math.abs(similarity)));
        if (!wanted.has(slot)) missed++;
      }
    });
    assert.ok(missed <= tolerance * BATCH * count, `${missed} of ${BATCH * count} are missing`);
  };
  const range = (first: number, end: number): number[] => Array.from({ length: end - first }, (_, n) => first + n);

  for (const normalised of [true, false]) {
    test(`${engine}, ${normalised ? 'cosine' : 'dot'}: the slots of an exact search, with its similarities`, async (t) => {
      const table = filledTable(6000, normalised);
      const scan = create(table);
      t.after(() => scan.close());
      for (let slot = 0; slot < 6000; slot++) scan.add(slot);
      assert.equal(scan.size, 6000);
      await check(scan, table, range(0, 6000));
      await check(scan, table, range(0, 6000), Int32Array.from(range(0, 50)));
      const nearest = createExactIndex(table);
      for (let slot = 0; slot < 6000; slot++) nearest.add(slot);
      const best = [0, 3].flatMap((position) => [...nearest.search(queriesOf(DIM).subarray(position * DIM, (position + 1) * DIM), 60).slots]);
      await check(scan, table, range(0, 6000), Int32Array.from(new Set(best)));
      for (const slot of best) scan.remove(slot);
      const kept = new Set(best);
      await check(
        scan,
        table,
        range(0, 6000).filter((slot) => !kept.has(slot)),
      );
    });
  }

  test(`${engine}: vectors so wide that the table goes in parts`, async (t) => {
    const table = filledTable(9000, true, 512);
    const scan = create(table);
    t.after(() => scan.close());
    for (let slot = 0; slot < 9000; slot++) scan.add(slot);
    await check(scan, table, range(0, 9000));
  });

  for (const [first, last] of [
    [0, 1],
    [2990, 3000],
    [0, 100],
  ] as const)
    test(`${engine}, dot: vectors ${first} to ${last - 1} are hundreds of times as long as the others, which are found all the same`, async (t) => {
      const table = filledTable(3000, false);
      for (let slot = first; slot < last; slot++)
        table.write(
          slot,
          table.vector(slot).map((value) => value * (100 + slot)),
          false,
        );
      const scan = create(table);
      t.after(() => scan.close());
      for (let slot = 0; slot < 3000; slot++) scan.add(slot);
      await check(scan, table, range(0, 3000), NONE, last);
      await check(scan, table, range(0, 3000), Int32Array.from(range(first, last)));
      for (let slot = first; slot < last; slot++) scan.remove(slot);
      await check(
        scan,
        table,
        range(0, 3000).filter((slot) => slot < first || slot >= last),
      );
    });

  test(`${engine}: removed, added and moved slots are seen by the next search`, async (t) => {
    const table = filledTable(6000, true);
    const scan = create(table);
    t.after(() => scan.close());
    for (let slot = 0; slot < 5000; slot++) scan.add(slot);
    await check(scan, table, range(0, 5000));
    for (let slot = 0; slot < 4000; slot++) scan.remove(slot);
    scan.remove(5500);
    await check(scan, table, range(4000, 5000));
    for (let slot = 5000; slot < 6000; slot++) scan.add(slot);
    table.write(4500, queriesOf(DIM).subarray(0, DIM), true);
    scan.add(4500);
    await check(scan, table, range(4000, 6000));
  });

  test(`${engine}: an empty index, and one smaller than asked, answer with what they hold`, async (t) => {
    const table = filledTable(40, true);
    const scan = create(table);
    t.after(() => scan.close());
    await check(scan, table, []);
    for (let slot = 0; slot < 40; slot++) scan.add(slot);
    await check(scan, table, range(0, 40), NONE, 60);
    await check(scan, table, range(0, 40), Int32Array.of(3, 5), 60);
  });
}
