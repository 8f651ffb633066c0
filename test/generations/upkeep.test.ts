import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { createItemInterner } from '../../src/domain/item-interner.js';
import type { Generations } from '../../src/generations/generations.js';
import { measureRecall } from '../../src/generations/recall.js';
import { createUpkeep } from '../../src/generations/upkeep.js';
import { createMetrics } from '../../src/metrics.js';
import { fieldsNamed } from '../ingest/write-side.js';
import { loadedGeneration } from './loaded-generation.js';

const ITEMS = 100;
const interner = createItemInterner();
const noUsers = { events: { history: async () => [] }, interner };

/** A generation whose index finds only a share of what exact search finds. */
function generationOf(recall: number, firstRecalls: readonly number[] = []) {
  const loaded = loadedGeneration({ interner });
  for (let n = 0; n < ITEMS; n++) {
    const id = String(n);
    loaded.items.set(id, { fields: fieldsNamed(id, id), created: 1, index: interner.indexOf(id), idShare: 0.5 });
  }
  loaded.state.recall = recall;
  loaded.generation.firstRecalls.push(...firstRecalls);
  return loaded;
}

function upkeepOf({ generation }: ReturnType<typeof generationOf>) {
  let rebuilds = 0;
  const generations = { current: generation, rebuild: () => ({ number: ++rebuilds }) } as unknown as Generations; // no more of them is asked for
  const upkeep = createUpkeep({ generations, source: noUsers, metrics: createMetrics(), log: pino({ level: 'silent' }) });
  return { upkeep, rebuilds: () => rebuilds };
}

test('recall is measured with the histories of users, and with single items for the rest', async () => {
  const { generation, searched } = generationOf(0.5);
  const history = async (userId: string) =>
    userId === 'stranger' ? [] : ['7', 'never-named', '3'].map((item_id) => ({ item_id, type: 'view', at: 0 }));
  const source = { events: { history }, interner };
  assert.equal(await measureRecall(generation, source, { users: ['u'], queries: 1 }), 0.5);
  assert.deepEqual([...searched], [interner.find('7'), interner.find('3')]);
  assert.equal(await measureRecall(generation, source, { users: ['u', 'stranger'], queries: 200 }), 0.5);
  assert.ok(searched.size > 20);
  let steps = 0;
  await measureRecall(generation, source, { users: [], queries: 5, pace: async () => void steps++ });
  assert.equal(steps, 5);
  assert.equal(await measureRecall(loadedGeneration({}).generation, noUsers, { users: [], queries: 3 }), null);
});

test('a rebuild that comes to nothing is not tried again and again', async () => {
  const loaded = generationOf(1);
  loaded.state.deadNodes = 20_000;
  const { upkeep, rebuilds } = upkeepOf(loaded);
  const after: number[] = [];
  for (let check = 1; check <= 120; check++) {
    await upkeep();
    if (after.length < rebuilds()) after.push(check);
  }
  assert.deepEqual(after, [1, 18, 51, 116]);
});

test('an index that has lost recall since it was built is rebuilt, also when it lost it before a restart', async () => {
  const check = async (first: number, later: number, firstRecalls: readonly number[] = []): Promise<number> => {
    const loaded = generationOf(first, firstRecalls);
    const { upkeep, rebuilds } = upkeepOf(loaded);
    for (let n = 0; n < 16; n++) await upkeep();
    loaded.state.recall = later;
    for (let n = 0; n < 16; n++) await upkeep();
    return rebuilds();
  };
  assert.equal(await check(1, 1), 0);
  assert.equal(await check(1, 0.9), 1);
  assert.equal(await check(0.9, 0.9), 0);
  assert.ok(
    (await check(
      0.9,
      0.9,
      Array.from({ length: 16 }, () => 1),
    )) >= 1,
  );
});
