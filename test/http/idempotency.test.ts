import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import type { ItemResult } from '../../src/client/types.js';
import { storageProblem } from '../../src/storage-faults.js';
import { codeOf, NDJSON } from '../api.js';
import { build, clip, demoStates, type Built } from '../build.js';
import { temporaryFolder } from '../temporary-folder.js';

const row = (n: number): object => ({ item_id: `b-${n}`, title: `t${n}`, hidden_states: demoStates(clip(n)) });
const post = ({ api }: Built, payload: object | string | Readable, headers: Record<string, string>) =>
  api.raw<{ results: ItemResult[] }>({ method: 'POST', url: '/v1/items/batch', payload, headers });
const lines = (...rows: object[]): string => rows.map((entry) => JSON.stringify(entry)).join('\n');
const titleOf = async ({ api }: Built, id: string): Promise<string | null> => (await api.getItem(id)).body.title;

for (const [form, payload, other, type] of [
  ['JSON', { items: [row(1), { item_id: 'bad', title: 3 }] }, { items: [row(2)] }, {}],
  ['NDJSON', lines(row(1), { item_id: 'bad', title: 3 }), lines(row(2)), NDJSON],
] as const) {
  test(`${form}: the same key gives the first answer again and changes nothing, also after a restart`, async (t) => {
    const dataDir = temporaryFolder(t);
    const first = await build(t, { REELFUSE_DATA_DIR: dataDir });
    const headers = { ...type, 'idempotency-key': 'night-1' };
    const answer = await post(first, payload, headers);
    assert.equal(answer.status, 207, answer.text);
    await first.api.patchItem('b-1', { title: 'changed since' });
    const again = await post(first, payload, headers);
    assert.deepEqual([again.status, again.body], [207, answer.body]);
    assert.equal(await titleOf(first, 'b-1'), 'changed since');
    await first.stop();
    const second = await build(t, { REELFUSE_DATA_DIR: dataDir });
    assert.deepEqual((await post(second, payload, headers)).body, answer.body);
    assert.equal(await titleOf(second, 'b-1'), 'changed since');
    const reused = await post(second, other, headers);
    assert.deepEqual(await codeOf(reused), [422, 'idempotency_key_reused']);
    assert.equal((await second.api.getItem('b-2')).status, 404);
    assert.equal((await post(second, other, { ...type, 'idempotency-key': 'night-2' })).status, 200);
  });
}

for (const [form, payload, type] of [
  ['JSON', { items: [row(1), row(2)] }, {}],
  ['NDJSON', lines(row(1), row(2)), NDJSON],
] as const) {
  test(`${form}: an answer that says that the server could not is not kept: the retry puts the rows`, async (t) => {
    const built = await build(t);
    const { items } = built.services.stores;
    const { put } = items;
    items.put = async (write) => (write.item.item_id === 'b-2' ? Promise.reject(storageProblem('full')) : put(write));
    const headers = { ...type, 'idempotency-key': 'full' };
    const refused = (await post(built, payload, headers)).body;
    assert.deepEqual(
      refused.results.map(({ status }) => status),
      [201, 507],
    );
    items.put = put;
    const again = (await post(built, payload, headers)).body;
    assert.deepEqual(
      again.results.map(({ status }) => status),
      [200, 201],
    );
    const kept = (await post(built, payload, headers)).body;
    assert.deepEqual(kept, again);
  });
}

test('an answer is kept however long the ids and names of refused rows are: it does not repeat them', async (t) => {
  const built = await build(t);
  const long = 'x'.repeat(12_000);
  const bad = Array.from({ length: 998 }, (_, n) => (n % 2 === 0 ? { item_id: `${n} ${long}` } : { item_id: `b-${n}`, [`${n}-${long}`]: 1 }));
  const payload = { items: [row(1), ...bad, { item_id: 'named', attributes: { [long]: 1 } }] };
  const headers = { 'idempotency-key': 'long' };
  const answer = await post(built, payload, headers);
  assert.ok(answer.text.length < 1_000_000, `${answer.text.length} bytes`);
  const { results } = answer.body;
  assert.deepEqual([results[1]?.error?.pointer, results[2]?.error?.pointer], ['/items/1/item_id', '/items/2']);
  assert.deepEqual([results[999]?.status, results[999]?.error?.pointer], [422, '/items/999/attributes']);
  await built.api.patchItem('b-1', { title: 'changed since' });
  assert.deepEqual((await post(built, payload, headers)).body, answer.body);
  assert.equal(await titleOf(built, 'b-1'), 'changed since');
});

test('an answer to a stream that broke off is not kept', async (t) => {
  const built = await build(t, { REELFUSE_BODY_LIMIT_MB: '1' });
  const headers = { ...NDJSON, 'idempotency-key': 'cut' };
  const cut = await post(built, `${lines(row(1))}\n${'x'.repeat(2_000_000)}`, headers);
  assert.deepEqual(
    cut.body.results.map(({ status }) => status),
    [201, 413],
  );
  assert.equal((await post(built, lines(row(1), row(2)), headers)).status, 200);
});

test('a key that is in use, or not visible characters, is refused', async (t) => {
  const built = await build(t);
  const headers = { 'idempotency-key': 'twice' };
  const answers = await Promise.all([post(built, { items: [row(1)] }, headers), post(built, { items: [row(1)] }, headers)]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 409]);
  const busy = answers.find(({ status }) => status === 409);
  assert.deepEqual([busy?.problem.code, busy?.headers['retry-after']], ['idempotency_key_in_use', '1']);
  const bad = await post(built, { items: [row(1)] }, { 'idempotency-key': 'a b' });
  assert.equal(bad.problem.errors[0]?.pointer, '/headers/idempotency-key');
});
