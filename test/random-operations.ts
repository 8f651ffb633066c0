import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { messageOf } from '../src/errors.js';
import { build, clip, demoStates, otherModel } from './build.js';
import { copyWhileOpen } from './copy-while-open.js';
import { randomOf } from './random.js';
import { temporaryFolder } from './temporary-folder.js';

interface Item {
  title: string | null;
  hidden: boolean;
  hasVector: boolean;
}
interface Event {
  userId: string;
  itemId: string;
  at: number;
  order: number;
  type: string;
}

const ITEMS = 40;
const USERS = 6;
const START = Date.parse('2026-11-01T00:00:00Z');
const POSITIVE = new Set(['view', 'like']);

/**
 * Random writes, swaps and restarts against a reference in memory; every few operations, items, histories and exact
 * recommendations are compared with it.
 */
export async function runOperations(t: Pick<TestContext, 'after'>, seed: number, operations: number): Promise<Record<string, number>> {
  const random = randomOf(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  const pick = <Value>(values: readonly Value[]): Value => values[below(values.length)] as Value; // never asked of an empty list
  let dataDir = temporaryFolder(t);
  let server = await build(t, { REELFUSE_DATA_DIR: dataDir });

  const other = await otherModel(t);
  const added = await server.api.registerModel(other);
  const fingerprints = [server.services.generations.current.artifact.fingerprint, added.body.fingerprint];
  const items = new Map<string, Item>();
  const events = new Map<string, Event>();
  const done: Record<string, number> = {};
  let order = 0;

  // half of the ids have a row in the model's ID table, the others are known by their hidden states only
  const ids = Array.from({ length: ITEMS }, (_, n) => (n % 2 === 0 ? clip(n + 1) : `new-${n}`));
  const hasRow = (itemId: string): boolean => itemId.startsWith('clip-');
  const users = Array.from({ length: USERS }, (_, n) => `user-${n}`);

  const reopen = async (folder = dataDir): Promise<void> => {
    await server.stop();
    dataDir = folder;
    server = await build(t, { REELFUSE_DATA_DIR: dataDir });
    if (server.restored !== null) done.restored = (done.restored ?? 0) + 1;
  };

  const steps: Record<string, { weight: number; run: () => Promise<void> }> = {
    put: {
      weight: 30,
      run: async () => {
        const itemId = pick(ids);
        const hasStates = random() < 0.7;
        const item = { title: `t${below(1000)}`, hidden: random() < 0.15 };
        const answer = await server.api.putItem(itemId, { ...item, ...(hasStates && { hidden_states: demoStates(clip(below(1000) + 1)) }) });
        assert.equal(answer.status, items.has(itemId) ? 200 : 201, answer.text);
        items.set(itemId, { ...item, hasVector: hasStates || hasRow(itemId) });
      },
    },
    patch: {
      weight: 15,
      run: async () => {
        const itemId = pick(ids);
        const known = items.get(itemId);
        const change = pick([{ title: `p${below(1000)}` }, { hidden: random() < 0.5 }, { hidden_states: null }, { title: null }]);
        const answer = await server.api.patchItem(itemId, change);
        assert.equal(answer.status, known === undefined ? 404 : 200, answer.text);
        if (known === undefined) return;
        if ('hidden_states' in change) known.hasVector = hasRow(itemId);
        else Object.assign(known, change);
      },
    },
    remove: {
      weight: 8,
      run: async () => {
        const itemId = pick(ids);
        assert.equal((await server.api.deleteItem(itemId)).status, items.has(itemId) ? 200 : 404);
        items.delete(itemId);
      },
    },
    events: {
      weight: 30,
      run: async () => {
        const sent = Array.from({ length: 1 + below(4) }, () => ({
          event_id: `e${below(400)}`,
          user_id: pick(users),
          item_id: pick(ids),
          type: pick(['view', 'like', 'skip', 'impression']),
          at: new Date(START + below(1e9)).toISOString(),
        }));
        let fresh = 0;
        const answer = await server.api.sendEvents(sent);
        for (const { event_id: id, user_id: userId, item_id: itemId, type, at } of sent) {
          if (events.has(id)) continue;
          fresh++;
          events.set(id, { userId, itemId, type, at: Date.parse(at), order: order++ });
        }
        assert.equal(answer.body.accepted, fresh);
      },
    },
    erase: {
      weight: 2,
      run: async () => {
        const userId = pick(users);
        await server.api.eraseUser(userId);
        for (const [id, event] of events) if (event.userId === userId) events.delete(id);
      },
    },
    swap: {
      weight: 3,
      run: async () => {
        const answer = await server.api.activateModel(pick(fingerprints));
        assert.ok([200, 202, 409].includes(answer.status), answer.text);
        // half of the time what follows runs while the swap does
        if (random() < 0.5) await server.services.generations.idle();
      },
    },
    snapshot: {
      weight: 2,
      run: async () => {
        const answer = server.api.writeSnapshot();
        answer.catch(() => undefined); // not awaited half of the time: what follows then runs while it is written
        if (random() < 0.5) assert.ok([201, 409].includes((await answer).status));
      },
    },
    reopen: { weight: 1, run: () => reopen() },
    kill: {
      weight: 1,
      run: async () => {
        await server.services.generations.idle();
        const copy = temporaryFolder(t);
        copyWhileOpen(dataDir, copy);
        await reopen(copy);
      },
    },
  };
  const wheel = Object.entries(steps).flatMap(([name, { weight }]) => Array.from({ length: weight }, () => name));

  const compare = async (): Promise<void> => {
    const itemId = pick(ids);
    const shown = await server.api.getItem(itemId);
    const known = items.get(itemId);
    assert.equal(shown.status, known === undefined ? 404 : 200);
    if (known !== undefined) {
      const { title, hidden, state } = shown.body;
      const expected = known.hidden ? 'hidden' : known.hasVector ? 'searchable' : 'pending_features';
      assert.deepEqual({ title, hidden, state }, { title: known.title, hidden: known.hidden, state: expected });
    }

    const count = (test: (item: Item) => boolean): number => [...items.values()].filter(test).length;
    const { states } = await server.services.generations.current.catalogue.status();
    assert.deepEqual(states, {
      searchable: count((item) => !item.hidden && item.hasVector),
      pending_features: count((item) => !item.hidden && !item.hasVector),
      stored: 0,
      hidden: count((item) => item.hidden),
    });

    const userId = pick(users);
    const own = [...events.values()].filter((event) => event.userId === userId).sort((a, b) => b.at - a.at || b.order - a.order);
    const positives = own.filter(({ type }) => POSITIVE.has(type));
    const history = (await server.api.getHistory(userId, 'limit=1000')).body;
    assert.deepEqual(
      history.items.map(({ item_id: id, at }) => [id, Date.parse(at ?? '')]),
      positives.map((event) => [event.itemId, event.at]),
    );

    const seen = new Set(own.filter(({ type }) => type !== 'impression').map((event) => event.itemId));
    const byModel = positives.some((event) => items.get(event.itemId)?.hasVector === true);
    const allowed = [...items].filter(([id, item]) => !item.hidden && !seen.has(id) && (item.hasVector || !byModel)).map(([id]) => id);
    const asked = await server.api.recommend({ user_id: userId, k: 100, exact: random() < 0.5 });
    const { items: got, fallback } = asked.body;
    assert.equal(fallback === null, byModel);
    assert.deepEqual(got.map(({ item_id: id }) => id).sort(), allowed.sort());
  };

  for (let step = 0; step < operations; step++) {
    const name = pick(wheel);
    done[name] = (done[name] ?? 0) + 1;
    try {
      await steps[name]?.run();
      if (step % 5 === 4) await compare();
    } catch (error) {
      throw new Error(`seed ${seed}, operation ${step} (${name}): ${messageOf(error)}`, { cause: error });
    }
  }
  await server.stop();
  return done;
}
