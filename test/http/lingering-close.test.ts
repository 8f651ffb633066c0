import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { closeLingering } from '../../src/http/lingering-close.js';

const LARGE = 16 * 1024 * 1024; // more than the buffers of both ends take

/** Both ends of a connection to a server that answers every request with `body` and closes; the caller asks, but does not read yet. */
async function asked(t: TestContext, body: string, lingerMs: number): Promise<{ caller: Socket; server: Socket }> {
  const http = createServer((_, response) => response.setHeader('connection', 'close').end(body));
  const listening = closeLingering(http, lingerMs).listen(0, '127.0.0.1');
  await once(listening, 'listening');
  t.after(() => listening.close());
  const accepted = once(listening, 'connection') as Promise<[Socket]>;
  const caller = connect({ port: (listening.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true }).pause();
  caller.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  const [server] = await accepted;
  return { caller, server };
}

test('the time to linger begins when the answer is out: a large one arrives whole', async (t) => {
  const { caller } = await asked(t, 'x'.repeat(LARGE), 1);
  let bytes = 0;
  caller.on('data', (chunk) => (bytes += chunk.length)).resume();
  await once(caller, 'end');
  caller.end();
  assert.ok(bytes > LARGE, `${bytes} bytes arrived`);
});

test('a caller that never closes its side is let go', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { caller, server } = await asked(t, 'done', 1000);
  const closed = once(server, 'close');
  let answer = '';
  caller.on('data', (chunk) => (answer += String(chunk))).resume();
  await once(caller, 'end');
  await nextTurn(); // for the server to have seen its own end
  assert.match(answer, /done$/);
  t.mock.timers.tick(999);
  assert.deepEqual([caller.writable, server.destroyed], [true, false]);
  t.mock.timers.tick(1);
  await closed;
  assert.deepEqual([server.readableEnded, server.destroyed], [false, true], 'it was the server that closed, not the caller');
  caller.destroy();
});
