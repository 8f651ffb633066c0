import assert from 'node:assert/strict';
import { test } from 'node:test';
import { build, clip, demoStates, putClips, type Built } from '../build.js';
import { manualClock } from '../manual-clock.js';
import { temporaryFolder } from '../temporary-folder.js';

const recommend = async ({ api }: Built, history: string[], k: number, filter: object | null = null): Promise<string[]> => {
  const answer = await api.recommend({ history, k, ...(filter !== null && { filter }) });
  return answer.body.items.map(({ item_id: id }) => id);
};
const put = (built: Built, id: string, states: number, fields: object = {}) =>
  built.api.putItem(id, { ...fields, hidden_states: demoStates(clip(states)) });

test('a request looks for its items once, however many others are hidden, expired or not yet available', async (t) => {
  const built = await build(t);
  await putClips(built.app, 300);
  const changes = [{ hidden: true }, { expires_at: '2020-01-01T00:00:00Z' }, { available_from: '2999-01-01T00:00:00Z' }];
  for (let n = 101; n <= 300; n++) await built.api.patchItem(clip(n), changes[n % changes.length] as object);
  const { pool } = built.services.generation;
  const { search } = pool;
  let searches = 0;
  pool.search = (prepare) => {
    searches++;
    return search(prepare);
  };
  const expected = Array.from({ length: 99 }, (_, n) => clip(n + 2));
  assert.deepEqual((await recommend(built, [clip(1)], 99)).sort(), expected);
  assert.deepEqual((await recommend(built, [clip(1)], 99, { field: 'author_id', eq: 'a1' })).sort(), expected);
  assert.equal((await recommend(built, [clip(200)], 50)).length, 50); // a hidden item may still say what its viewer likes
  assert.equal(searches, 3);
});

test('items that come and go with time are in the index when they can be served, before and after a restart', async (t) => {
  const hour = 3_600_000;
  const start = Date.now() - 24 * hour;
  const dataDir = temporaryFolder(t);
  const first = await build(t, { REELFUSE_DATA_DIR: dataDir }, manualClock(start));
  await putClips(first.app, 3);
  const time = (hours: number): string => new Date(start + hours * hour).toISOString();
  await put(first, 'in-an-hour', 200, { available_from: time(1) });
  await put(first, 'in-three-hours', 201, { available_from: time(3) });
  await put(first, 'hidden', 202, { hidden: true });
  const shown = async (built: Built): Promise<string[]> => (await recommend(built, [clip(1)], 100)).filter((id) => !id.startsWith('clip-')).sort();
  const clock = manualClock(start + 2 * hour);
  assert.deepEqual(await shown(first), []);
  await first.stop();

  const second = await build(t, { REELFUSE_DATA_DIR: dataDir }, clock);
  assert.deepEqual([second.restored?.adopted, second.restored?.replayed], [6, 0]);
  assert.deepEqual(await shown(second), ['in-an-hour']);
  await clock.advance(2 * hour);
  assert.deepEqual(await shown(second), ['in-an-hour', 'in-three-hours']);
  await second.api.patchItem('hidden', { hidden: false });
  await second.api.patchItem('in-an-hour', { expires_at: time(5) });
  assert.deepEqual(await shown(second), ['hidden', 'in-an-hour', 'in-three-hours']);
  assert.equal(second.services.generation.table.membership.findable, 6);
  await clock.advance(hour);
  assert.deepEqual(await shown(second), ['hidden', 'in-three-hours']);
  assert.equal(second.services.generation.table.membership.findable, 5);
});
