import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { pino } from 'pino';
import { createItemInterner } from '../../src/domain/item-interner.js';
import { openGenerations, type GenerationsSetup } from '../../src/generations/generations.js';
import { createMetrics } from '../../src/metrics.js';
import { readArtifact, type Artifact } from '../../src/model/artifact.js';
import type { ModelRecord } from '../../src/store/models.js';
import { DEMO_ARTIFACT, clip, otherModel } from '../build.js';
import { gate, scriptedStore, turn, vectorOf } from '../ingest/write-side.js';
import { loadedGeneration, type LoadedDoubles } from './loaded-generation.js';

const timeout = 20_000;

/** Hooks between the steps of a swap. */
interface Hooks {
  onOpened?: (loaded: LoadedDoubles) => Promise<void>;
  /** The recall of a new index is about to be measured. */
  onGates?: () => Promise<void>;
  /** The next start has been told of a model. */
  onRemembered?: () => Promise<void>;
}

/** Generations over real artifacts and a scripted store; their engines are doubles. */
async function open(t: TestContext, hooks: Hooks = {}) {
  const store = scriptedStore();
  const interner = createItemInterner();
  const models: ModelRecord[] = [];
  const opened: LoadedDoubles[] = [];
  const settings = new Map<string, string>();
  const crashes: Error[] = [];
  /** By the number of the generation: what its indexer waits for before it reads the feed. */
  const feeds = new Map<number, Promise<void>>();
  /** By the same: engines that die. */
  const crash: ((error: Error) => void)[] = [];
  const setup: GenerationsSetup = {
    stores: {
      items: { count: async () => store.rows.size } as GenerationsSetup['stores']['items'], // no more of it is asked for, here and below
      vectors: { dropOthers: async () => 0 } as unknown as GenerationsSetup['stores']['vectors'],
      events: {
        users: async () => {
          await hooks.onGates?.();
          return [];
        },
      } as unknown as GenerationsSetup['stores']['events'],
      models: {
        register: async (model) => void (models.some(({ fingerprint }) => fingerprint === model.fingerprint) || models.push(model)),
        list: async () => models,
      },
      keyValues: {
        get: async (key) => settings.get(key) ?? null,
        set: async (key, value) => {
          settings.set(key, value);
          await hooks.onRemembered?.();
        },
      },
    },
    interner,
    metrics: createMetrics(),
    log: pino({ level: 'silent' }),
    minRecall: 0.9,
    minCoverage: 0.9,
    open: async (artifact: Artifact, onCrash) => {
      const number = opened.length;
      const { changes, ...rest } = store.stores;
      const own = {
        get itemSequence() {
          return changes.itemSequence;
        },
        onItemChange: changes.onItemChange,
        since: async (after: number, limit: number) => {
          await feeds.get(number);
          return changes.since(after, limit);
        },
      };
      const loaded = loadedGeneration({ artifact, stores: { ...rest, changes: own }, interner, onFailure: onCrash });
      opened.push(loaded);
      crash.push(onCrash);
      await hooks.onOpened?.(loaded);
      return loaded.generation;
    },
    onCrash: (error) => void crashes.push(error),
  };
  const first = await readArtifact(DEMO_ARTIFACT);
  const generations = await openGenerations(first, setup);
  await generations.load(() => undefined);
  t.after(() => generations.close());
  const other = await generations.register(await otherModel(t));
  /** As a write: durable, then acknowledged when this resolves. */
  const acknowledge = (itemId: string, sequence: number) => generations.indexed({ itemId, sequence }, 'searchable');
  return { generations, store, opened, models, settings, crashes, crash, feeds, first, other, acknowledge };
}

const idsOf = (loaded: LoadedDoubles | undefined): string[] => [...(loaded?.items.keys() ?? [])].sort();

test('an item whose deletion is acknowledged at any time before a switch is not served after it', { timeout }, async (t) => {
  const deleted: string[] = [];
  const remove = async (n: number): Promise<void> => {
    deleted.push(clip(n));
    await opening.acknowledge(clip(n), opening.store.remove(clip(n)));
  };
  const hooks: Hooks = {};
  const opening = await open(t, hooks);
  const { generations, store, opened, other } = opening;
  for (let n = 1; n <= 20; n++) await opening.acknowledge(clip(n), store.put(clip(n)));
  Object.assign(hooks, {
    onOpened: () => remove(1),
    onGates: () => remove(2),
    onRemembered: () => remove(3),
  });
  const swap = await generations.activate(other.fingerprint);
  await remove(4);
  await generations.idle();
  assert.deepEqual([swap.state, swap.error, generations.current.artifact.fingerprint], ['active', null, other.fingerprint]);
  assert.deepEqual(deleted.sort(), [clip(1), clip(2), clip(3), clip(4)]);
  for (const loaded of opened)
    assert.deepEqual(
      idsOf(loaded),
      Array.from({ length: 16 }, (_, n) => clip(n + 5)),
    );
});

test('a write is acknowledged when every generation that could serve next has it, and no earlier', { timeout }, async (t) => {
  const { opened: pausing, open: goOn } = gate();
  const hooks: Hooks = {};
  const { generations, store, opened, other, feeds, acknowledge } = await open(t, hooks);
  await acknowledge(clip(1), store.put(clip(1)));
  await acknowledge(clip(2), store.put(clip(2)));
  const atGates = gate();
  hooks.onGates = async () => {
    atGates.open();
    await pausing;
  };
  await generations.activate(other.fingerprint);
  await atGates.opened;
  const slowFeed = gate();
  feeds.set(1, slowFeed.opened);
  let isAcknowledged = false;
  const acknowledged = acknowledge(clip(1), store.remove(clip(1))).then(() => (isAcknowledged = true));
  await turn();
  assert.deepEqual([idsOf(opened[0]), idsOf(opened[1]), isAcknowledged], [[clip(2)], [clip(1), clip(2)], false]);
  slowFeed.open();
  await acknowledged;
  assert.deepEqual(idsOf(opened[1]), [clip(2)]);
  goOn();
  await generations.idle();
  assert.equal(generations.swap?.state, 'active');
});

test('a standby follows the writes, so that going back is immediate and finds them', { timeout }, async (t) => {
  const { generations, store, first, other, opened, acknowledge } = await open(t);
  await acknowledge(clip(1), store.put(clip(1)));
  await generations.activate(other.fingerprint);
  await generations.idle();
  await acknowledge(clip(2), store.put(clip(2)));
  await acknowledge(clip(1), store.remove(clip(1)));
  const back = await generations.activate(first.fingerprint);
  assert.deepEqual([back.state, generations.current, generations.standby], ['active', opened[0]?.generation, opened[1]?.generation]);
  assert.deepEqual(idsOf(opened[0]), [clip(2)]);
});

test('a generation that fails beside the serving one holds up no write, and is not switched to', { timeout }, async (t) => {
  const hooks: Hooks = {};
  const { generations, store, first, other, opened, crash, crashes, acknowledge } = await open(t, hooks);
  await acknowledge(clip(1), store.put(clip(1)));
  hooks.onRemembered = async () => {
    hooks.onRemembered = async () => undefined;
    crash[1]?.(new Error('a thread has died'));
  };
  await generations.activate(other.fingerprint);
  await generations.idle();
  assert.deepEqual([generations.swap?.state, generations.swap?.error], ['failed', 'a thread has died']);
  assert.equal(generations.current.artifact.fingerprint, first.fingerprint);
  await acknowledge(clip(2), store.put(clip(2)));

  await generations.activate(other.fingerprint);
  await generations.idle();
  const standby = opened[0];
  assert.ok(standby);
  standby.state.fuseError = new Error('no memory');
  await acknowledge(clip(3), store.put(clip(3)));
  assert.equal(opened[2]?.items.get(clip(3))?.idShare, 0.5);
  standby.state.fuseError = null;
  const back = await generations.activate(first.fingerprint); // not at once: the one on standby lacks a vector
  assert.equal(back.state, 'verifying');
  await generations.idle();
  assert.deepEqual([generations.swap?.state, generations.current === standby.generation, crashes], ['active', false, []]);
});

test('a failure of the serving generation fails the write, and is told', { timeout }, async (t) => {
  const { generations, store, opened, crash, crashes, feeds, acknowledge } = await open(t);
  const [serving] = opened;
  assert.ok(serving);
  serving.state.fuseError = new Error('no memory');
  await assert.rejects(generations.fuse(clip(1), null), /no memory/);
  const broken = Promise.reject(new Error('the feed is gone'));
  broken.catch(() => undefined);
  feeds.set(0, broken);
  await assert.rejects(acknowledge(clip(1), store.put(clip(1))), /feed is gone/);
  crash[0]?.(new Error('a thread has died'));
  assert.deepEqual(
    crashes.map(({ message }) => message),
    ['the feed is gone', 'a thread has died'],
  );
});

test('an item is fused once for each model that is loaded, and one that only another model cannot fuse is taken', { timeout }, async (t) => {
  const hooks: Hooks = {};
  const { generations, opened, first, other } = await open(t, hooks);
  const fingerprintsOf = async () => (await generations.fuse(clip(1), null)).map(({ fingerprint }) => fingerprint);
  assert.deepEqual(await fingerprintsOf(), [first.fingerprint]);
  await generations.activate(other.fingerprint);
  await generations.idle();
  assert.deepEqual(await fingerprintsOf(), [other.fingerprint, first.fingerprint]);
  assert.ok(opened[0]);
  opened[0].state.fuseError = new Error('no memory');
  assert.deepEqual(await fingerprintsOf(), [other.fingerprint]);
  opened[0].state.fuseError = null;

  const { opened: pausing, open: goOn } = gate();
  hooks.onGates = () => pausing;
  generations.rebuild();
  while (opened.length < 3) await turn();
  await turn();
  assert.deepEqual(await fingerprintsOf(), [other.fingerprint, first.fingerprint]);
  goOn();
  await generations.idle();
  assert.equal(generations.current, opened[2]?.generation);
});

test('a new index that holds too few items, or finds too few of them, is refused', { timeout }, async (t) => {
  const hooks: Hooks = {};
  const { generations, store, opened, first, other, acknowledge } = await open(t, hooks);
  for (let n = 1; n <= 30; n++) await acknowledge(clip(n), store.put(clip(n), { vectors: [{ fingerprint: first.fingerprint, ...vectorOf(1) }] }));
  const refused = async (): Promise<string | null | undefined> => {
    await generations.activate(other.fingerprint);
    await generations.idle();
    return generations.swap?.error;
  };
  hooks.onOpened = async ({ generation }) => {
    generation.artifact.idRows.clear();
  };
  assert.equal(await refused(), '0 items would be searchable, now there are 30; wanted are at least 0.9 of them');
  hooks.onOpened = async ({ state }) => {
    state.recall = 0.5;
  };
  assert.equal(await refused(), 'recall@20 of the new index is 0.5000, wanted is at least 0.9');
  assert.equal(generations.current, opened[0]?.generation);
});
