import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codeOf, idsOf } from './api.js';
import { build, clip, demoStates, putClips, view } from './build.js';
import { manualClock } from './manual-clock.js';
import { temporaryFolder } from './temporary-folder.js';

const HOUR = 3_600_000;
const YEARS = 3650 * 24 * HOUR;
const START = Date.now();
const timeOf = (at: number): string => new Date(at).toISOString();

test('a session goes on while the clock jumps, and ends when its time has passed', async (t) => {
  const clock = manualClock(START);
  const { api, app } = await build(t, {}, clock);
  await putClips(app, 60);
  const first = await api.recommend({ history: [clip(1)], k: 5 });
  const shown = idsOf(first.body);
  let cursor = first.body.next_cursor;
  for (const jump of [YEARS, -YEARS, HOUR, -HOUR, 2000, 0]) {
    await clock.set(START + jump);
    const next = await api.recommend({ history: [clip(1)], k: 5, cursor });
    assert.equal(next.status, 200, `${jump}: ${next.text}`);
    assert.equal(idsOf(next.body).length, 5);
    shown.push(...idsOf(next.body));
    cursor = next.body.next_cursor;
  }
  assert.equal(new Set(shown).size, shown.length);
  await clock.advance(61 * 60_000);
  assert.deepEqual(await codeOf(api.recommend({ history: [clip(1)], k: 5, cursor })), [410, 'cursor_expired']);
});

test('an item that expired while the clock was ahead is found again when it is back', async (t) => {
  const clock = manualClock(START);
  const { api, app, services } = await build(t, {}, clock);
  await putClips(app, 20);
  await api.putItem('offer', { expires_at: timeOf(START + 24 * HOUR), hidden_states: demoStates(clip(30)) });
  await api.putItem('later', { available_from: timeOf(START + 24 * HOUR), hidden_states: demoStates(clip(31)) });
  const found = async (): Promise<string[]> =>
    idsOf((await api.recommend({ history: [clip(1)], k: 50 })).body).filter((id) => id === 'offer' || id === 'later');
  const { catalogue } = services.generation;
  for (const [jump, servable] of [
    [0, 'offer'],
    [YEARS, 'later'],
    [0, 'offer'],
    [-YEARS, 'offer'],
    [0, 'offer'],
  ] as const) {
    await clock.set(START + jump);
    assert.deepEqual(await found(), [servable], String(jump));
    assert.equal((await catalogue.status()).findable, 21, String(jump));
  }
});

test('an answer under an Idempotency-Key is kept for a day, wherever the clock jumps', async (t) => {
  const clock = manualClock(START);
  const { api } = await build(t, {}, clock);
  const put = (title: string) => api.putItems([{ item_id: 'a', title }], { headers: { 'idempotency-key': title } });
  const first = await put('a');
  await put('b');
  for (const jump of [YEARS, -YEARS, 0]) {
    await clock.set(START + jump);
    assert.deepEqual((await put('a')).body, first.body);
  }
  await clock.advance(25 * HOUR);
  assert.notDeepEqual((await put('a')).body, first.body);
});

test('what is written while the clock is ten years ahead rules nothing once it is back', async (t) => {
  const dataDir = temporaryFolder(t);
  const clock = manualClock(START);
  const environment = { REELFUSE_DATA_DIR: dataDir };
  const wrong = await build(t, environment, clock);
  await putClips(wrong.app, 6);
  await wrong.api.sendEvents([1, 2, 3].map((n) => view(`e${n}`, `u${n}`, clip(1), timeOf(START))));
  await wrong.api.writeSnapshot();
  await clock.set(START + YEARS);
  await wrong.api.sendEvents([view('ahead', 'u4', clip(2), timeOf(START + YEARS))]);
  await wrong.api.putItem('new', { title: 'ahead', hidden_states: demoStates(clip(9)) });
  const ahead = (await wrong.api.writeSnapshot()).body.name;
  await clock.set(START + 2000);
  const order = async ({ api }: typeof wrong) => idsOf((await api.recommend({ user_id: 'nobody', k: 3 })).body);
  await wrong.api.sendEvents([view('later', 'u5', clip(2), timeOf(START + 1000))]);
  assert.deepEqual((await order(wrong)).slice(0, 2), [clip(1), clip(2)]);
  await wrong.api.patchItem('new', { title: 'back' });
  await wrong.api.putItem('newer', { hidden_states: demoStates(clip(10)) });
  const back = (await wrong.api.writeSnapshot()).body.name;
  assert.deepEqual(
    (await wrong.api.listSnapshots()).body.snapshots.map(({ name }) => name),
    [back, ahead],
    'newest by sequence',
  );
  await wrong.stop();
  const restarted = await build(t, environment, manualClock(START + 2000));
  assert.deepEqual((await order(restarted)).slice(0, 2), [clip(1), clip(2)]);
  assert.equal(restarted.restored?.snapshot, back);
});

test('an event of the future is refused with the time of the server, and one of the next hours counts as of now', async (t) => {
  const clock = manualClock(START);
  const { api } = await build(t, {}, clock);
  const sent = await api.sendEvents([
    view('1', 'u', 'a', timeOf(START + HOUR)),
    view('2', 'u', 'b', timeOf(START - HOUR)),
    view('3', 'u', 'c', '2300-01-01T00:00:00Z'),
  ]);
  assert.equal(sent.body.accepted, 2);
  assert.match(sent.body.rejected[0]?.errors[0]?.detail ?? '', new RegExp(`the server's clock shows ${timeOf(START)}`));
  assert.deepEqual(
    (await api.getHistory('u')).body.items.map(({ item_id: id, at }) => [id, at]),
    [
      ['a', timeOf(START)],
      ['b', timeOf(START - HOUR)],
    ],
  );
});
