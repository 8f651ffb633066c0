import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, createServer, request, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { closeLingering } from '../../src/http/lingering-close.js';
import { closeAnswered } from '../../src/http/orderly-close.js';

const LARGE = 16 * 1024 * 1024; // more than the buffers of both ends take

async function listen(
  t: TestContext,
  handle: RequestListener,
  fetchMs?: number,
): Promise<{ server: Server; agent: Agent; ask: () => Promise<IncomingMessage> }> {
  const server = closeAnswered(closeLingering(createServer(handle)), fetchMs);
  server.keepAliveTimeout = 600_000;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const agent = new Agent({ keepAlive: true });
  t.after(() => {
    agent.destroy();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const ask = async (): Promise<IncomingMessage> => {
    const [answer] = (await once(request({ port, agent }).end(), 'response')) as [IncomingMessage];
    return answer;
  };
  return { server, agent, ask };
}

const close = (server: Server): Promise<void> => new Promise((resolve) => server.close(() => resolve()));

async function bytesOf(answer: IncomingMessage): Promise<number> {
  let bytes = 0;
  for await (const chunk of answer) bytes += (chunk as Buffer).length;
  return bytes;
}

test('a request that is open at the end is answered, told that the connection closes, and nothing waits for its caller to leave', async (t) => {
  let finish: () => void = () => assert.fail('not asked yet');
  const { server, ask } = await listen(t, (_, response) => (finish = () => response.end('done')));
  const asked = once(server, 'request');
  const answered = ask();
  await asked;
  const closed = close(server);
  finish();
  const answer = await answered;
  assert.deepEqual([answer.headers.connection, await bytesOf(answer)], ['close', 4]);
  await closed;
});

test('connections that have nothing open are closed at once', async (t) => {
  const { server, ask } = await listen(t, (_, response) => response.end('done'));
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  await bytesOf(await ask());
  const [socket] = await accepted;
  await nextTurn(); // an answer counts as open until its end was told
  assert.deepEqual([socket.destroyed, socket.writable], [false, true], 'it is kept for the next request');
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] }); // no time passes
  await close(server);
  assert.equal(socket.destroyed, true);
});

test('an answer that was given before the end and is not fetched yet arrives whole', async (t) => {
  const { server, ask } = await listen(t, (_, response) => response.end('x'.repeat(LARGE)));
  const answer = await ask();
  const closed = close(server);
  assert.equal(await bytesOf(answer), LARGE);
  await closed;
});

test('a caller who does not fetch its answer holds up the end no longer than it may', async (t) => {
  const { server, ask } = await listen(t, (_, response) => response.end('x'.repeat(LARGE)), 1);
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const answer = await ask();
  answer.on('error', () => undefined).pause();
  const [socket] = await accepted;
  const gone = once(socket, 'close');
  await close(server);
  await gone;
  assert.ok(socket.destroyed);
});

test('a body that does not come does not hold up the end', async (t) => {
  const { server } = await listen(t, () => undefined, 20);
  const asked = once(server, 'request');
  const upload = request({ port: (server.address() as AddressInfo).port, method: 'POST', headers: { 'content-length': 100 } });
  upload.on('error', () => undefined);
  upload.write('half');
  await asked;
  await close(server);
  upload.destroy();
});
