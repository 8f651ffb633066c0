import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { rowsOf } from '../api.js';
import { buildForSuite } from '../build.js';

const LINE_BY_LINE = { accept: 'application/x-ndjson' };
const line = (id: string): string => `${JSON.stringify({ item_id: id })}\n`;

const MIB = 1024 * 1024;

/** Two good lines and then one that does not end, as far as anybody reads it. */
function endless(limit: number, prefix: string): { source: Readable; read: () => number } {
  let read = 0;
  function* chunks(): Generator<Buffer> {
    yield Buffer.from(line(`${prefix}-0`) + line(`${prefix}-1`));
    for (; read < limit; read += 65_536) yield Buffer.alloc(65_536, 'x');
  }
  return { source: Readable.from(chunks(), { objectMode: false, highWaterMark: 65_536 }), read: () => read };
}

describe('bodies of lines', () => {
  const server = buildForSuite({ REELFUSE_BODY_LIMIT_MB: '1' }, ({ app }) => app.listen({ port: 0, host: '127.0.0.1' }));

  for (const [form, headers] of [
    ['one document', {}],
    ['line by line', LINE_BY_LINE],
  ] as const) {
    test(`a line without end is refused by its row, what landed before is told, and no more is read (${form})`, async () => {
      const { source, read } = endless(64 * MIB, form.replaceAll(' ', '-'));
      const answer = await server.api.streamItems(source, { headers });
      const rows = form === 'one document' ? answer.body.results : rowsOf(answer.text);
      assert.deepEqual(
        rows.map(({ status }) => status),
        [201, 201, 413],
      );
      assert.deepEqual([rows[2]?.error?.code, rows[2]?.error?.pointer], ['row_too_large', '/2']);
      assert.equal(answer.status, form === 'one document' ? 207 : 200);
      assert.ok(read() < 4 * MIB, `${read()} bytes were read`);
      assert.equal((await server.api.getItem(`${form.replaceAll(' ', '-')}-1`)).status, 200);
    });

    test(`a first line that is too long is the answer to the whole request (${form})`, async () => {
      const answer = await server.api.streamItems(gzipSync(Buffer.alloc(64 * MIB, 'x')), { headers: { ...headers, 'content-encoding': 'gzip' } });
      const { code, errors } = answer.problem;
      assert.deepEqual([answer.status, code, errors[0]?.pointer], [413, 'row_too_large', '/0']);
    });

    test(`a body whose compression breaks off keeps what came before (${form})`, async () => {
      const body = gzipSync(Array.from({ length: 3000 }, (_, n) => line(`g-${n}-${Math.random()}`)).join(''));
      const answer = await server.api.streamItems(body.subarray(0, body.length >> 1), { headers: { ...headers, 'content-encoding': 'gzip' } });
      const rows = form === 'one document' ? answer.body.results : rowsOf(answer.text);
      const last = rows.at(-1);
      assert.deepEqual([last?.status, last?.error?.code, last?.error?.pointer], [400, 'stream_broken', `/${rows.length - 1}`]);
      assert.ok(rows.length > 1);
      assert.ok(rows.slice(0, -1).every(({ status }) => status === 201));
    });
  }

  test('rows that are large together wait for each other: the window of a stream has a size in bytes too', async () => {
    let most = 0;
    let now = 0;
    const { ingest } = server.services;
    const { put } = ingest;
    ingest.put = async (...wanted) => {
      most = Math.max(most, ++now);
      return put(...wanted).finally(() => now--);
    };
    const row = (n: number): string => `${JSON.stringify({ item_id: `w-${n}`, title: 'x'.repeat(8000), attributes: { text: 'y'.repeat(4000) } })}\n`;
    const answer = await server.api.streamItems(Array.from({ length: 300 }, (_, n) => row(n)).join(''));
    assert.equal(answer.status, 200, answer.text.slice(0, 500));
    ingest.put = put;
    assert.ok(most < 100, `${most} rows at once`);
  });

  test('an answer in one document holds 10,000 rows; the next is refused with the way out, and what came before stays', async () => {
    const bad = '1\n'; // answered without the disk
    const answer = await server.api.streamItems(line('first') + bad.repeat(9998) + line('last') + line('one-more'));
    const { results } = answer.body;
    assert.deepEqual([answer.status, results.length, results[9999]?.status], [207, 10_001, 201]);
    const { status, error } = results[10_000] ?? {};
    assert.deepEqual([status, error?.code, error?.pointer], [413, 'too_many_rows', '/10000']);
    assert.match(error?.detail ?? '', /Accept: application\/x-ndjson/);
    assert.equal((await server.api.getItem('one-more')).status, 404);
  });

  test('a line may hold any separator but the newline, and end in a carriage return', async () => {
    const body = ` \r\n${JSON.stringify({ item_id: 'a', title: 'one\u2028two\rthree' })}\r\n\n${JSON.stringify({ item_id: 'b' })}`;
    const { results } = (await server.api.streamItems(body)).body;
    assert.deepEqual(
      results.map(({ item_id: id, status }) => [id, status]),
      [
        ['a', 201],
        ['b', 201],
      ],
    );
  });

  test('an answer that the caller reads late is not lost to what it goes on sending, and nothing of that is taken for a request', async () => {
    const { port } = server.app.server.address() as AddressInfo;
    const accepted = once(server.app.server, 'connection') as Promise<[Socket]>;
    const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true }).pause();
    const chunks: Buffer[] = [];
    const errors: Error[] = [];
    socket.on('error', (error) => errors.push(error));
    const ended = once(socket, 'end');
    const [other] = await accepted;
    const answered = once(other, 'finish');
    socket.write('POST /v1/items/batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n');
    socket.write(`200000\r\n${'x'.repeat(0x200000)}\r\n`);
    await answered;
    for (let n = 0; n < 20; n++) await new Promise((resolve) => socket.write(`10000\r\n${'x'.repeat(0x10000)}\r\n`, resolve));
    socket.write('0\r\n\r\nPUT /v1/items/smuggled HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}');
    socket.on('data', (chunk) => chunks.push(chunk)).resume();
    await ended;
    const closed = once(other, 'close');
    socket.end();
    await closed;
    assert.deepEqual(errors, []);
    assert.match(Buffer.concat(chunks).toString(), /^HTTP\/1\.1 413 [^]*row_too_large/);
    assert.equal((await server.api.getItem('smuggled')).status, 404);
  });

  test('over a socket: the refusal arrives although the body goes on, and a caller that hangs up harms nobody', async () => {
    const { port } = server.app.server.address() as AddressInfo;
    const head = (accept: string): string =>
      `POST /v1/items/batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\naccept: ${accept}\r\ntransfer-encoding: chunked\r\n\r\n`;
    const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;
    for (const accept of ['application/json', 'application/x-ndjson']) {
      const errors: Error[] = [];
      const received = await new Promise<string>((resolve) => {
        const socket = connect(Number(port), '127.0.0.1');
        let text = '';
        socket.on('data', (data) => (text += data.toString()));
        socket.on('error', (error) => errors.push(error));
        socket.on('close', () => resolve(text));
        const piece = chunk('x'.repeat(65_536));
        const more = (): void => {
          while (socket.writable && socket.write(piece));
        };
        socket.on('drain', more);
        socket.write(head(accept) + chunk(line(`${accept}-1`.replaceAll('/', '-'))));
        more();
      });
      assert.match(received, /row_too_large/);
      assert.deepEqual(errors, [], 'what goes on is taken and thrown away');
    }

    await new Promise<void>((resolve) => {
      const socket = connect(Number(port), '127.0.0.1');
      socket.on('close', () => resolve());
      socket.write(head('application/json') + chunk(`${line('half')}{"item_id"`), () => socket.destroy());
    });
    assert.equal((await fetch(`http://127.0.0.1:${port}/livez`)).status, 200);
  });
});
