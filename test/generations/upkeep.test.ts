import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import type { CatalogueItem } from '../../src/retrieval/embedded/catalogue.js';
import type { Generation } from '../../src/generations/generation.js';
import type { Generations } from '../../src/generations/generations.js';
import { measureRecall } from '../../src/generations/recall.js';
import { createUpkeep } from '../../src/generations/upkeep.js';
import { createMetrics } from '../../src/metrics.js';
import type { SearchJob } from '../../src/model/search-messages.js';

const SLOTS = 100;
const noUsers = { history: () => [] };

/** A generation with items in these slots whose graph finds only a share of what exact search finds. */
function generationOf(isTaken: (slot: number) => boolean, state: { recall: number; firstRecalls?: number[] }) {
  const asked = new Set<number>();
  const itemAt = (slot: number): CatalogueItem | undefined =>
    isTaken(slot) ? ({ fields: { item_id: String(slot) }, slot } as CatalogueItem) : undefined;
  const taken = Array.from({ length: SLOTS }, (_, slot) => slot).filter(isTaken);
  const generation = {
    artifact: { manifest: { max_history: 10 } },
    catalogue: { slots: SLOTS, size: taken.length, deadNodes: 0, indexed: taken.length, atSlot: itemAt, get: (id: string) => itemAt(Number(id)) },
    firstRecalls: state.firstRecalls ?? [],
    pool: {
      search: async (prepare: () => SearchJob | null) => {
        const job = prepare();
        if (job === null) return null;
        for (const slot of Array.from(job.history)) asked.add(slot);
        const slots = Int32Array.from(taken.slice(0, job.options?.exact === true ? 20 : Math.round(20 * state.recall)));
        return { batch: { slots }, first: 0, count: slots.length };
      },
    },
    use: <Value>(task: () => Promise<Value>) => task(),
  };
  return { generation: generation as unknown as Generation, asked };
}

test('the self-check asks for items of every slot, not only of the first ones', async () => {
  const { generation, asked } = generationOf((slot) => slot >= 60, { recall: 1 });
  assert.equal(await measureRecall(generation, noUsers, [], 200), 1);
  assert.ok(asked.size > 20 && [...asked].every((slot) => slot >= 60));
  const lone = generationOf((slot) => slot === 77, { recall: 1 });
  assert.equal(await measureRecall(lone.generation, noUsers, [], 3), 1);
  assert.equal(await measureRecall(generationOf(() => false, { recall: 1 }).generation, noUsers, [], 3), null);
});

test('a rebuild that comes to nothing is not tried again and again', async () => {
  const { generation } = generationOf(() => true, { recall: 1 });
  Object.assign(generation.catalogue, { deadNodes: 20_000 });
  let rebuilds = 0;
  const generations = { current: generation, rebuild: () => ({ number: ++rebuilds }) } as unknown as Generations;
  const upkeep = createUpkeep(generations, noUsers, createMetrics(), pino({ level: 'silent' }));
  const after: number[] = [];
  for (let check = 1; check <= 120; check++) {
    await upkeep();
    if (after.length < rebuilds) after.push(check);
  }
  assert.deepEqual(after, [1, 18, 51, 116]);
});

test('an index that has lost recall since it was built is rebuilt, also when it lost it before a restart', async () => {
  const check = async (state: { recall: number; firstRecalls?: number[] }, later: number): Promise<number> => {
    const { generation } = generationOf(() => true, state);
    let rebuilds = 0;
    const generations = { current: generation, rebuild: () => ({ number: ++rebuilds }) } as unknown as Generations;
    const upkeep = createUpkeep(generations, noUsers, createMetrics(), pino({ level: 'silent' }));
    for (let n = 0; n < 16; n++) await upkeep();
    state.recall = later;
    for (let n = 0; n < 16; n++) await upkeep();
    return rebuilds;
  };
  assert.equal(await check({ recall: 1 }, 1), 0);
  assert.equal(await check({ recall: 1 }, 0.9), 1);
  assert.equal(await check({ recall: 0.9 }, 0.9), 0);
  assert.ok((await check({ recall: 0.9, firstRecalls: Array.from({ length: 16 }, () => 1) }, 0.9)) >= 1);
});
