import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { rowsOf } from '../api.js';
import { build, buildForSuite, clip, demoStates } from '../build.js';

const row = (n: number): object => ({ item_id: `b-${n}`, title: `t${n}`, hidden_states: demoStates(clip(n)) });
const lines = (...rows: object[]): string => rows.map((entry) => JSON.stringify(entry)).join('\n');

/** A safetensors file with one tensor. */
function safetensors(name: string, dtype: string, shape: number[], data: Buffer): string {
  const header = Buffer.from(JSON.stringify({ [name]: { dtype, shape, data_offsets: [0, data.length] } }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, data]).toString('base64');
}

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

describe('batches of items', () => {
  const server = buildForSuite();

  test('attributes have names of 1 to 64 characters, whatever these are, and typed values', async () => {
    const put = (attributes: object) => server.api.putItem('a', { attributes });
    for (const [attributes, pointer] of [
      [{ '': 1 }, '/attributes'],
      [{ ['x'.repeat(65)]: 1 }, '/attributes'],
      [{ 'two\nlines': { nested: 1 } }, '/attributes/two\nlines'],
    ] as const) {
      const answer = await put(attributes);
      assert.deepEqual([answer.status, answer.problem.errors?.[0]?.pointer], [422, pointer]);
    }
    assert.equal((await put({ ['x'.repeat(64)]: 1, 'two\nlines': 'yes' })).status, 201);
    const patched = await server.api.patchItem('a', { attributes: { ['x'.repeat(65)]: null } });
    assert.equal(patched.status, 422);
  });

  test('a stream can be answered by one result a line', async () => {
    const rows = Array.from({ length: 600 }, (_, n) => (n === 300 ? { item_id: 'bad id' } : { item_id: `s-${n}` }));
    const answer = await server.api.streamItems(lines(...rows), { headers: { accept: 'application/x-ndjson' } });
    assert.match(String(answer.headers['content-type']), /ndjson/);
    const results = rowsOf(answer.text);
    assert.equal(results.length, 600);
    assert.deepEqual(
      results.map(({ status }) => status),
      rows.map((_, n) => (n === 300 ? 422 : 201)),
    );
    const kept = await server.api.streamItems(lines(...rows), { headers: { accept: 'application/x-ndjson', 'idempotency-key': 'k' } });
    assert.equal(kept.status, 422);
  });

  test('hidden states may come as safetensors, and give the same vector', async () => {
    const states = demoStates(clip(9));
    const data = Buffer.from(states.data, 'base64');
    const put = (id: string, hidden_states: object) => server.api.putItem(id, { hidden_states });
    await put('raw', states);
    const answer = await put('packed', { format: 'safetensors', data: safetensors('hidden_states', 'F16', [7, 384], data) });
    assert.equal(answer.status, 201, answer.text);
    const { table } = server.services.generation;
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

  const MALFORMED: [what: string, entry: unknown][] = [
    ['offsets that are no pair', { dtype: 'F16', shape: [1, 1], data_offsets: 5 }],
    ['a type that is no text', { dtype: { toString: 1 }, shape: [1, 1], data_offsets: [0, 2] }],
    ['a negative axis', { dtype: 'F16', shape: [-1, -1], data_offsets: [0, 2] }],
    ['an end before the begin', { dtype: 'X', shape: [1, 1], data_offsets: [2, 0] }],
    ['a name of an object', { dtype: 'constructor', shape: [1, 1], data_offsets: [0, 2] }],
  ];
  for (const [good, [what, entry]] of MALFORMED.entries()) {
    test(`hidden states with ${what} are a row's error, also while more rows are awaited`, async () => {
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
        yield lines(row(good + 1));
      }
      const answer = await server.api.streamItems(Readable.from(rows(), { objectMode: false }));
      const { results } = answer.body;
      assert.deepEqual(
        results.map(({ status }) => status),
        [422, 201],
      );
      assert.match(results[0]?.error?.pointer ?? '', /^\/0\/hidden_states/);
      const put = await server.api.putItem('bad', { hidden_states: bad.hidden_states });
      assert.equal(put.status, 422);
    });
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

test('results of a stream come while its sender is waiting for them', async (t) => {
  const { app } = await build(t);
  const { port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }));
  const headers = { 'content-type': 'application/x-ndjson', accept: 'application/x-ndjson' };
  const sending = request({ port, method: 'POST', path: '/v1/items/batch', headers });
  const answered = once(sending, 'response') as Promise<[IncomingMessage]>;
  sending.write(`${JSON.stringify({ item_id: 'a' })}\n`);
  const [answer] = await answered;
  const results = createInterface(answer)[Symbol.asyncIterator]();
  const next = async (): Promise<string> => (JSON.parse((await results.next()).value as string) as { item_id: string }).item_id;
  assert.equal(await next(), 'a');
  sending.end(`${JSON.stringify({ item_id: 'b' })}\n`);
  assert.equal(await next(), 'b');
  assert.equal((await results.next()).done, true);
});

for (const accept of ['application/x-ndjson', 'application/json'])
  test(`a stream that its sender ends too early is answered row by row, and the last result says where it broke off (${accept})`, async (t) => {
    const { app, api } = await build(t);
    const { port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }));
    const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
    const rows = '{"item_id":"a"}\n{"item_id":"b"}\n{"item_i';
    const head = `POST /v1/items/batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\naccept: ${accept}\r\ncontent-length: 1000\r\n\r\n`;
    socket.end(head + rows);
    let text = '';
    for await (const chunk of socket) text += (chunk as Buffer).toString();
    for (const wanted of ['"item_id":"a"', '"item_id":"b"', '"stream_broken"', '"/2"']) assert.ok(text.includes(wanted), `${text} lacks ${wanted}`);
    assert.equal((await api.getItem('b')).status, 200);
  });

test('a byte order mark before the first row is no part of it, and a PATCH may be a merge patch by its type', async (t) => {
  const { app, api } = await build(t);
  const sent = await api.streamItems(Readable.from([Buffer.from('\uFEFF{"item_id":"a"}\n{"item_id":"b"}\n')]));
  assert.deepEqual(
    sent.body.results.map(({ status }) => status),
    [201, 201],
  );
  const headers = { 'content-type': 'application/merge-patch+json' };
  const payload = '{"title":"new"}';
  assert.equal((await app.inject({ method: 'PATCH', url: '/v1/items/a', headers, payload })).statusCode, 200);
  assert.equal((await app.inject({ method: 'PUT', url: '/v1/items/a', headers, payload })).statusCode, 415);
});

test('half of a surrogate pair is refused wherever it would be stored, and NUL in a title', async (t) => {
  const { api } = await build(t);
  const pointerOf = async (body: object): Promise<string | undefined> => {
    const { status, problem } = await api.putItem('x', body);
    assert.equal(status, 422);
    return problem.errors[0]?.pointer;
  };
  assert.equal(await pointerOf({ title: 'half \ud83d' }), '/title');
  assert.equal(await pointerOf({ title: 'nul \u0000' }), '/title');
  assert.equal(await pointerOf({ attributes: { topic: '\ude00' } }), '/attributes/topic');
  assert.equal(await pointerOf({ attributes: { tags: ['whole \u{1F600}', '\ud83d'] } }), '/attributes/tags');
  assert.equal((await api.putItem('x', { title: 'whole \u{1F600}', attributes: { topic: '\u{1F600}' } })).status, 201);
  const events = await api.sendEvents([{ event_id: 'e\ud83d', user_id: 'u', item_id: 'x', type: 'view', at: '2026-11-01T00:00:00Z' }]);
  assert.equal(events.body.rejected[0]?.errors[0]?.pointer, '/events/0/event_id');
});

test('what contradicts itself is refused by the field: an end before the begin, an arm that comes twice', async (t) => {
  const { app, api } = await build(t);
  const times = { available_from: '2026-12-02T00:00:00Z', expires_at: '2026-12-01T00:00:00Z' };
  const item = await api.putItem('x', times);
  assert.deepEqual([item.status, item.problem.errors[0]?.pointer], [422, '/expires_at']);
  const rows = await api.putItems([{ item_id: 'y', ...times }]);
  assert.equal(rows.body.results[0]?.error?.pointer, '/items/0/expires_at');
  const arms = [{ name: 'a' }, { name: 'b' }, { name: 'a' }];
  const asked = await app.inject({ method: 'POST', url: '/v1/recommendations', payload: { user_id: 'u', experiment: { name: 'e', arms } } });
  assert.deepEqual([asked.statusCode, asked.json<{ errors: { pointer: string }[] }>().errors[0]?.pointer], [422, '/experiment/arms/2/name']);
});

test('a key may stand behind several blanks, as RFC 9110 has it', async (t) => {
  const { app } = await build(t, { REELFUSE_API_KEYS: 'a-secret-of-mine:admin' });
  const ask = (authorization: string) => app.inject({ url: '/v1/items', headers: { authorization } });
  assert.deepEqual([(await ask('Bearer   a-secret-of-mine')).statusCode, (await ask('Bearer a-secret')).statusCode], [200, 401]);
});
