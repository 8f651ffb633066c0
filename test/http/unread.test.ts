import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { endUnread } from '../../src/http/unread.js';

const LINE = Buffer.alloc(64 * 1024, 'x');
const ENOUGH = 500; // lines: 32 MB, more than sockets hold

/** A server that answers a line of the request by a line, as a stream of items is answered. */
async function echo(t: TestContext, ms: number, onEnd: () => void, onPause = (): void => undefined): Promise<number> {
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    endUnread(response, ms, onEnd);
    response.on('timeout', onPause);
    Readable.from(request).pipe(response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

function send(port: number, lines: number) {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined); // a reset is one of the ways to be closed
  socket.write(`POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: ${ENOUGH * LINE.length}\r\n\r\n`);
  for (let n = 0; n < lines; n++) socket.write(LINE);
  return socket;
}

const closed = (socket: Socket): Promise<void> => new Promise((resolve) => void socket.once('close', () => resolve()));

test('a caller that sends everything before it reads is cut off, and the server says so', async (t) => {
  let ended = 0;
  const socket = send(await echo(t, 50, () => ended++), ENOUGH);
  socket.pause();
  await closed(socket);
  assert.equal(ended, 1);
});

test('a caller that reads may pause for longer', async (t) => {
  let ended = 0;
  let pausedFor = (): void => undefined;
  const pause = new Promise<void>((resolve) => (pausedFor = resolve));
  const port = await echo(
    t,
    200,
    () => ended++,
    () => pausedFor(),
  );
  const socket = send(port, 1);
  let received = 0;
  socket.on('data', (bytes: Buffer) => (received += bytes.length));
  await pause; // as long as an unread answer may wait
  for (let n = 1; n < ENOUGH; n++) socket.write(LINE);
  await closed(socket);
  assert.equal(ended, 0);
  assert.ok(received > ENOUGH * LINE.length);
});
