import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { closeLingering } from '../../src/http/lingering-close.js';
import { refuseConnection } from '../../src/http/problem.js';
import { endStalled } from '../../src/http/stalled.js';
import { answerOf } from './raw-connection.js';

const WINDOW = 1000;

/** A server that checks when the test's clock says so. It answers nothing by itself. */
async function opened(t: TestContext): Promise<{ server: Server; caller: Socket }> {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const server = endStalled(closeLingering(createServer()), { windowMs: WINDOW, minBytes: 10 });
  server.on('clientError', (error: Error & { bytesParsed: number }, socket) => refuseConnection(error as never, socket as Socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    server.close().closeAllConnections();
    await once(server, 'close'); // it clears its interval while the test's clock is there
  });
  const caller = connect((server.address() as AddressInfo).port, '127.0.0.1');
  t.after(() => caller.destroy());
  return { server, caller };
}

const HEAD = 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n';

test('a body that stops arriving ends its connection with 408', async (t) => {
  const { server, caller } = await opened(t);
  caller.write(`${HEAD}half`);
  const [request] = (await once(server, 'request')) as [IncomingMessage];
  request.resume();
  await once(request, 'data');
  t.mock.timers.tick(WINDOW);
  caller.write('x'); // too little
  await once(request, 'data');
  t.mock.timers.tick(WINDOW);
  const { status, body } = await answerOf(caller);
  assert.equal(status, 408);
  assert.match(body, /request_timeout/);
});

test('a body that progresses may take any time, and so may one that the server has not taken yet', async (t) => {
  const { server, caller } = await opened(t);
  caller.write(`${HEAD}half`);
  const [request, response] = (await once(server, 'request')) as [IncomingMessage, ServerResponse];
  for (let window = 0; window < 5; window++) {
    request.resume();
    caller.write('x'.repeat(20));
    await once(request, 'data');
    t.mock.timers.tick(WINDOW);
  }
  request.pause();
  caller.write('x'.repeat(20));
  await once(request, 'readable').catch(() => undefined);
  for (let window = 0; window < 5; window++) t.mock.timers.tick(WINDOW);
  assert.equal(request.destroyed, false);
  response.setHeader('connection', 'close').end('done');
  assert.equal((await answerOf(caller)).status, 200);
});

test('a body whose answer has begun is cut off, without a second answer in it', async (t) => {
  const { server, caller } = await opened(t);
  caller.write(`${HEAD}half`);
  const [request, response] = (await once(server, 'request')) as [IncomingMessage, ServerResponse];
  request.on('error', () => undefined).resume();
  await once(request, 'data');
  response.write('begun');
  let received = '';
  caller.on('data', (chunk) => (received += String(chunk)));
  await once(caller, 'data');
  t.mock.timers.tick(WINDOW);
  t.mock.timers.tick(WINDOW);
  await once(caller, 'close');
  assert.doesNotMatch(received, /408/);
});
