import assert from 'node:assert/strict';
import { truncateSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { AnnIndex } from '../../src/index/ann-index.js';
import { createExactIndex } from '../../src/index/exact.js';
import { createHnswIndex } from '../../src/index/hnsw.js';
import { signedRandomOf } from '../random.js';
import { createVectorTable, makeChunk, type VectorTable } from '../../src/index/vector-table.js';
import { temporaryFolder } from '../temporary-folder.js';

const DIM = 16;

function filledTable(count: number, normalised: boolean): VectorTable {
  const table = createVectorTable(DIM);
  table.attach(makeChunk(DIM));
  const next = signedRandomOf(7);
  for (let slot = 0; slot < count; slot++) table.write(slot, Float32Array.from({ length: DIM }, next), normalised);
  return table;
}

const query = (seed: number): Float32Array => Float32Array.from({ length: DIM }, signedRandomOf(seed));

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

const hnswOf = (table: VectorTable) => createHnswIndex(table, { m: 16, efConstruction: 200, ef: 300 });

test('hnsw: changes during a save take effect at once, and the file holds the state before them', async (t) => {
  const table = filledTable(3000, true);
  const index = hnswOf(table);
  for (let slot = 0; slot < 2000; slot++) index.add(slot);
  index.remove(1999);
  const file = join(temporaryFolder(t), 'graph');
  const saved = index.save(file);
  await Promise.resolve(); // the save has begun
  for (let slot = 2000; slot < 2100; slot++) index.add(slot);
  for (let slot = 0; slot < 100; slot++) index.remove(slot);
  index.add(0);
  index.add(1);
  index.remove(1);
  table.write(500, query(9), true);
  index.add(500);
  const expected = new Set([0, 500, ...Array.from({ length: 1899 }, (_, n) => 100 + n), ...Array.from({ length: 100 }, (_, n) => 2000 + n)]);
  const check = (): void => {
    assert.equal(index.size, expected.size);
    assert.deepEqual(new Set(index.search(query(2), 3000).slots), expected);
    const found = index.search(query(9), 1);
    assert.equal(found.slots[0], 500);
    assert.ok(Math.abs((found.similarities[0] ?? 0) - table.similarity(query(9), 500)) < 1e-5);
  };
  check();
  const slots = await saved;
  check();
  assert.deepEqual(
    [...slots],
    Array.from({ length: 1999 }, (_, slot) => slot),
  );
  await index.save(join(temporaryFolder(t), 'again')); // first puts everything that waited into the graph
  check();

  const loaded = hnswOf(table);
  await loaded.load(file, slots);
  assert.equal(loaded.size, 1999);
  assert.deepEqual(new Set(loaded.search(query(2), 3000).slots), new Set(slots));
  loaded.add(1999); // a dead node of the file is taken over
  assert.equal(loaded.size, 2000);
  for (let slot = 2000; slot < 3000; slot++) loaded.add(slot); // beyond the capacity of the file
  assert.equal(new Set(loaded.search(query(2), 3000).slots).size, 3000);
});

test('hnsw: a file that is cut off is refused and leaves an index that works', async (t) => {
  const table = filledTable(300, true);
  const index = hnswOf(table);
  for (let slot = 0; slot < 300; slot++) index.add(slot);
  const file = join(temporaryFolder(t), 'graph');
  const slots = await index.save(file);
  truncateSync(file, 5000);
  const other = hnswOf(table);
  await assert.rejects(other.load(file, slots));
  other.add(7);
  assert.deepEqual([...other.search(query(1), 5).slots], [7]);
});

/** Every second slot holds the same vector. */
function tableWithCopies(count: number, normalised: boolean): VectorTable {
  const table = filledTable(count, normalised);
  const copied = table.vector(0).slice();
  for (let slot = 0; slot < count; slot += 2) table.write(slot, copied, normalised);
  return table;
}

/** Share of the found whose similarity reaches that of the exact 20th: the worst of many queries. */
function worstRecall(index: AnnIndex, exact: AnnIndex): number {
  const recalls = Array.from({ length: 30 }, (_, n) => {
    const least = exact.search(query(n + 1), 20).similarities[19] ?? NaN;
    return index.search(query(n + 1), 20).similarities.filter((similarity) => similarity >= least - 1e-5).length / 20;
  });
  return Math.min(...recalls);
}

for (const normalised of [true, false]) {
  test(`HNSW, ${normalised ? 'cosine' : 'dot'}: half of the items being copies of one hides no other, also after removals and a restart`, async (t) => {
    const count = 3000;
    const table = tableWithCopies(count, normalised);
    const settings = { m: 16, efConstruction: 100, ef: 128 };
    const [index, exact] = [createHnswIndex(table, settings), createExactIndex(table)];
    for (let slot = 0; slot < count; slot++) for (const each of [index, exact]) each.add(slot);
    assert.equal(index.size, count);
    assert.ok(worstRecall(index, exact) >= 0.9);
    const copy = table.vector(0).slice();
    const copies = (from: AnnIndex): number[] => Array.from(from.search(copy, count).slots).filter((slot) => slot % 2 === 0);
    assert.deepEqual(copies(index).sort(), copies(exact).sort());
    for (let slot = 0; slot < 1000; slot++) for (const each of [index, exact]) each.remove(slot); // the first copy as well
    table.write(1000, query(99), normalised); // a copy no longer
    table.write(1001, copy, normalised); // one from now on
    for (const slot of [1000, 1001]) for (const each of [index, exact]) each.add(slot);
    assert.ok(worstRecall(index, exact) >= 0.9);
    assert.deepEqual(Array.from(index.search(copy, count).slots).sort(), Array.from(exact.search(copy, count).slots).sort());
    const file = join(temporaryFolder(t), 'graph');
    const restarted = createHnswIndex(table, settings);
    await restarted.load(file, await index.save(file));
    assert.equal(restarted.size, index.size);
    assert.ok(worstRecall(restarted, exact) >= 0.9);
    assert.deepEqual(Array.from(restarted.search(copy, count).slots).sort(), Array.from(exact.search(copy, count).slots).sort());
  });
}
