import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { demoFile } from '../../src/generations/model-choice.js';
import { createVectorTable, makeChunk } from '../../src/index/vector-table.js';
import { createMetrics } from '../../src/metrics.js';
import { readArtifact } from '../../src/model/artifact.js';
import { startRecommenders, type RecommenderPool, type Searched } from '../../src/model/recommender-pool.js';

const DEMO_ARTIFACT = demoFile('artifact');

const ITEMS = 50;

/** One worker over a few items with made-up vectors. */
async function startPool(t: TestContext): Promise<RecommenderPool> {
  const artifact = await readArtifact(DEMO_ARTIFACT);
  const pool = await startRecommenders(
    artifact,
    {
      executionProviders: ['cpu'],
      requireGpu: false,
      workers: 1,
      maxBatch: 16,
      maxQueue: 100,
      hnsw: { m: 16, efConstruction: 200, ef: 128 },
      precision: 'auto',
      userVectorBytes: 0,
    },
    createMetrics(),
    (error) => assert.fail(error),
  );
  t.after(() => pool.close());
  const { dim } = artifact.manifest;
  const table = createVectorTable(dim);
  const chunk = makeChunk(dim);
  table.attach(chunk);
  await pool.grow(chunk);
  const slots = Array.from({ length: ITEMS }, (_, slot) => slot);
  for (const slot of slots)
    table.write(
      slot,
      Float32Array.from({ length: dim }, (_, i) => Math.sin(slot * dim + i)),
      true,
    );
  await pool.update({ add: slots, remove: [] });
  return pool;
}

const jobOf = (n: number) => ({ history: Int32Array.of(n), count: 5, excludesHistory: true, options: null });

function sortedSlotsOf(answer: Searched | null): number[] {
  assert.ok(answer !== null);
  const { batch, first, count } = answer;
  return Array.from(batch.slots.subarray(first, first + count)).sort((a, b) => a - b); // near ties may change places from batch to batch
}

/** @returns the answers, and which of the searches a worker had taken before this turn was over */
function searchTogether(pool: RecommenderPool, count: number): { answers: Promise<(Searched | null)[]>; atOnce: number[]; taken: number[] } {
  const taken: number[] = [];
  const answers = Array.from({ length: count }, (_, n) =>
    pool.search(() => {
      taken.push(n);
      return jobOf(n);
    }),
  );
  return { answers: Promise.all(answers), atOnce: [...taken], taken };
}

test('an idle worker begins with four requests while the turn goes on reading; a busy one gets the rest later', async (t) => {
  const pool = await startPool(t);
  const { answers, atOnce, taken } = searchTogether(pool, 7);
  assert.deepEqual(atOnce, [0, 1, 2, 3]);
  for (const [n, answer] of (await answers).entries()) {
    assert.equal(sortedSlotsOf(answer).length, 5);
    assert.ok(!sortedSlotsOf(answer).includes(n), 'an item of the history comes back');
  }
  assert.deepEqual(taken, [0, 1, 2, 3, 4, 5, 6]);
});

test('a busy worker is sent as many as it has, and each search gets its own results', async (t) => {
  const pool = await startPool(t);
  const { answers, atOnce, taken } = searchTogether(pool, 8);
  assert.deepEqual(atOnce, [0, 1, 2, 3]);
  await nextTurn();
  assert.deepEqual(taken, [0, 1, 2, 3, 4, 5, 6, 7]);
  for (const [n, together] of (await answers).entries()) assert.deepEqual(sortedSlotsOf(together), sortedSlotsOf(await pool.search(() => jobOf(n))));
});

test('fewer go together at the end of the turn', async (t) => {
  const pool = await startPool(t);
  const { answers, atOnce, taken } = searchTogether(pool, 3);
  assert.deepEqual(atOnce, []);
  assert.equal((await answers).length, 3);
  assert.deepEqual(taken, [0, 1, 2]);
});

test('a batch is answered the same whatever the memory that it uses again has held', async (t) => {
  const pool = await startPool(t);
  const search = async (histories: readonly number[][]): Promise<Float32Array[]> => {
    const answers = await Promise.all(histories.map((history) => pool.search(() => ({ history, count: 5, excludesHistory: true, options: null }))));
    return answers.map((answer) => answer?.batch.similarities.slice(answer.first, answer.first + answer.count) ?? assert.fail());
  };
  const pair = [[3], Array.from({ length: 20 }, (_, n) => n)];
  const before = await search(pair);
  await search(Array.from({ length: 4 }, () => Array.from({ length: 40 }, (_, n) => 49 - n)));
  assert.deepEqual(await search(pair), before);
});
