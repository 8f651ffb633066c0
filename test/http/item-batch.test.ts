import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import type { ItemResult } from '../../src/client/types.js';
import { storageFull } from '../../src/errors.js';
import { codeOf, NDJSON } from '../api.js';
import { build, clip, demoStates, temporaryFolder, type Built } from '../build.js';

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
    items.put = async (write) => (write.item.item_id === 'b-2' ? Promise.reject(storageFull()) : put(write));
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

test('attributes have names of 1 to 64 characters, whatever these are, and typed values', async (t) => {
  const built = await build(t);
  const put = (attributes: object) => built.api.putItem('a', { attributes });
  for (const [attributes, pointer] of [
    [{ '': 1 }, '/attributes'],
    [{ ['x'.repeat(65)]: 1 }, '/attributes'],
    [{ 'two\nlines': { nested: 1 } }, '/attributes/two\nlines'],
  ] as const) {
    const answer = await put(attributes);
    assert.deepEqual([answer.status, answer.problem.errors?.[0]?.pointer], [422, pointer]);
  }
  assert.equal((await put({ ['x'.repeat(64)]: 1, 'two\nlines': 'yes' })).status, 201);
  const patched = await built.api.patchItem('a', { attributes: { ['x'.repeat(65)]: null } });
  assert.equal(patched.status, 422);
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

test('a stream can be answered by one result a line', async (t) => {
  const built = await build(t);
  const rows = Array.from({ length: 600 }, (_, n) => (n === 300 ? { item_id: 'bad id' } : { item_id: `s-${n}` }));
  const answer = await post(built, lines(...rows), { ...NDJSON, accept: 'application/x-ndjson' });
  assert.match(String(answer.headers['content-type']), /ndjson/);
  const results = answer.text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { status: number });
  assert.equal(results.length, 600);
  assert.deepEqual(
    results.map(({ status }) => status),
    rows.map((_, n) => (n === 300 ? 422 : 201)),
  );
  const kept = await post(built, lines(...rows), { ...NDJSON, accept: 'application/x-ndjson', 'idempotency-key': 'k' });
  assert.equal(kept.status, 422);
});

/** A safetensors file with one tensor. */
function safetensors(name: string, dtype: string, shape: number[], data: Buffer): string {
  const header = Buffer.from(JSON.stringify({ [name]: { dtype, shape, data_offsets: [0, data.length] } }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, data]).toString('base64');
}

test('hidden states may come as safetensors, and give the same vector', async (t) => {
  const built = await build(t);
  const states = demoStates(clip(9));
  const data = Buffer.from(states.data, 'base64');
  const put = (id: string, hidden_states: object) => built.api.putItem(id, { hidden_states });
  await put('raw', states);
  const answer = await put('packed', { format: 'safetensors', data: safetensors('hidden_states', 'F16', [7, 384], data) });
  assert.equal(answer.status, 201, answer.text);
  const { table } = built.services.generation;
  const vectorOf = (id: string): number[] => [...table.slots.table.vector(table.find(id)?.slot ?? -1)];
  assert.deepEqual(vectorOf('packed'), vectorOf('raw'));

  const refusals: [object, string, RegExp][] = [
    [
      { format: 'safetensors', data: safetensors('states', 'F16', [7, 384], data) },
      '/hidden_states/data',
      /no tensor hidden_states; it holds states/,
    ],
    [{ format: 'safetensors', data: safetensors('hidden_states', 'I64', [7, 96], data) }, '/hidden_states/data', /I64/],
    [{ format: 'safetensors', data: safetensors('hidden_states', 'F16', [6, 448], data) }, '/hidden_states/shape', /\[6, 448\]/],
    [{ format: 'safetensors', data: safetensors('hidden_states', 'F16', [7, 1, 384], data) }, '/hidden_states/shape', /layers/],
    [{ format: 'safetensors', data: Buffer.from('nonsense').toString('base64') }, '/hidden_states/data', /safetensors/],
    [{ format: 'gguf', data: '' }, '/hidden_states/format', /safetensors/],
    [{ dtype: 'float16', data: '' }, '/hidden_states/shape', /required/],
  ];
  for (const [body, pointer, reason] of refusals) {
    const refused = await put('bad', body);
    assert.equal(refused.status, 422);
    const error = refused.problem.errors.find((entry) => entry.pointer === pointer);
    assert.match(error?.detail ?? refused.text, reason);
  }
});

test('hidden states whose norm no item of this model has are refused by layer; the metric shows the ratio', async (t) => {
  const built = await build(t);
  const states = demoStates(clip(9));
  const floats = new Float16Of(Buffer.from(states.data, 'base64'));
  const scaled = (factor: number): object => ({ dtype: 'float32', shape: states.shape, data: floats.scaled(factor).toString('base64') });
  const put = (hidden_states: object) => built.api.putItem('x', { hidden_states });
  assert.equal((await put(scaled(1))).status, 201);
  for (const factor of [1000, 0.001]) {
    const refused = await put(scaled(factor));
    const { errors } = refused.problem;
    assert.equal(errors[0]?.pointer, '/hidden_states/data');
    assert.match(errors[0]?.detail ?? '', /layer 0 has the norm .* about/);
  }
  assert.match(await built.api.metrics(), /reelfuse_hidden_state_norm_ratio_count 1/);
});

/** Half precision read by its definition, independent of the code under test. */
class Float16Of {
  private readonly values: number[] = [];
  constructor(bytes: Buffer) {
    for (let at = 0; at < bytes.length; at += 2) {
      const bits = bytes.readUInt16LE(at);
      const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
      this.values.push(exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15));
    }
  }
  scaled(factor: number): Buffer {
    return Buffer.from(Float32Array.from(this.values, (value) => value * factor).buffer);
  }
}

const MALFORMED: [what: string, entry: unknown][] = [
  ['offsets that are no pair', { dtype: 'F16', shape: [1, 1], data_offsets: 5 }],
  ['a type that is no text', { dtype: { toString: 1 }, shape: [1, 1], data_offsets: [0, 2] }],
  ['a negative axis', { dtype: 'F16', shape: [-1, -1], data_offsets: [0, 2] }],
  ['an end before the begin', { dtype: 'X', shape: [1, 1], data_offsets: [2, 0] }],
  ['a name of an object', { dtype: 'constructor', shape: [1, 1], data_offsets: [0, 2] }],
];
for (const [what, entry] of MALFORMED) {
  test(`hidden states with ${what} are a row's error, also while more rows are awaited`, async (t) => {
    const built = await build(t);
    const header = Buffer.from(JSON.stringify({ hidden_states: entry }));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    const bad = {
      item_id: 'bad',
      hidden_states: { format: 'safetensors', data: Buffer.concat([length, header, Buffer.alloc(2)]).toString('base64') },
    };
    async function* rows(): AsyncGenerator<string> {
      yield `${lines(bad)}\n`;
      for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate); // nobody waits for the first row yet
      yield lines(row(1));
    }
    const answer = await post(built, Readable.from(rows(), { objectMode: false }), NDJSON);
    const { results } = answer.body;
    assert.deepEqual(
      results.map(({ status }) => status),
      [422, 201],
    );
    assert.match(results[0]?.error?.pointer ?? '', /^\/0\/hidden_states/);
    const put = await built.api.putItem('bad', { hidden_states: bad.hidden_states });
    assert.equal(put.status, 422);
  });
}
