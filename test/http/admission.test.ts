import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { test } from 'node:test';
import { createAdmission } from '../../src/http/admission.js';
import { build, putClips } from '../build.js';

async function dial(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

/** A server that finishes one request every `serviceMs`, met by as many callers as it lets in. @returns how many were open at the end */
function crowd(serviceMs: number, { maxOpen, maxWaitMs, always }: { maxOpen: number; maxWaitMs: number; always: number }): number {
  let clock = 0;
  const admission = createAdmission({ maxOpen, maxWaitMs, always }, () => clock);
  let open = 0;
  for (let n = 0; n < 5000; n++) {
    while (admission.enter()) open++;
    clock += serviceMs;
    admission.leave();
    open--;
  }
  while (admission.enter()) open++;
  return open;
}

test('as many requests are let in as are answered within the longest wait', () => {
  const settings = { maxOpen: 1000, maxWaitMs: 100, always: 8 };
  for (const [serviceMs, expected] of [
    [0.5, 200],
    [1, 100],
    [4, 25],
  ] as const) {
    const open = crowd(serviceMs, settings);
    assert.ok(Math.abs(open - expected) <= 0.05 * expected, `${open} open at ${serviceMs} ms each, wanted about ${expected}`);
  }
});

test('never more than the largest queue, never fewer than a few', () => {
  assert.equal(crowd(0.01, { maxOpen: 1000, maxWaitMs: 100, always: 8 }), 1000);
  assert.equal(crowd(50, { maxOpen: 1000, maxWaitMs: 100, always: 8 }), 8);
});

test('callers that come one by one say nothing of what the server can do', () => {
  let clock = 0;
  const admission = createAdmission({ maxOpen: 1000, maxWaitMs: 100, always: 8 }, () => clock);
  for (let n = 0; n < 100; n++) {
    assert.ok(admission.enter());
    clock += 200;
    admission.leave();
  }
  for (let n = 0; n < 1000; n++) assert.ok(admission.enter());
  assert.ok(!admission.enter());
});

test('a crowd is refused at once with 503 and Retry-After, before it costs anything, and writes are not', async (t) => {
  const { app, services } = await build(t, { REELFUSE_MAX_QUEUE: '4' });
  await putClips(app, 3);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const socket = await dial((app.server.address() as AddressInfo).port);
  const get = 'GET /v1/users/u1/recommendations?k=1 HTTP/1.1\r\nhost: h\r\nx-request-id: mine\r\n\r\n';
  const last = 'DELETE /v1/items/clip-0001 HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n';
  let answers = '';
  socket.setEncoding('latin1').on('data', (text: string) => (answers += text));
  socket.write(get.repeat(20) + last); // read as one piece: the twentieth comes before the first is answered
  await once(socket, 'close');
  const heads = answers.split('HTTP/1.1 ').slice(1);
  assert.deepEqual(
    heads.map((head) => head.slice(0, 3)),
    [...Array<string>(4).fill('200'), ...Array<string>(16).fill('503'), '200'],
  );
  for (const refusal of heads.slice(4, 20)) {
    assert.match(refusal, /^retry-after: 1\r$/im);
    assert.match(refusal, /^x-request-id: mine\r$/im);
    assert.match(refusal, /^content-type: application\/problem\+json/im);
    assert.deepEqual(JSON.parse(refusal.split('\r\n\r\n')[1] ?? ''), {
      type: 'urn:reelfuse:problem:overloaded',
      title: 'Service unavailable',
      status: 503,
      code: 'overloaded',
      detail: 'the recommender queue is full',
      request_id: 'mine',
    });
  }
  assert.match(await services.metrics.registry.metrics(), /reelfuse_rejected_total\{reason="overload"\} 16/);
  const { port } = app.server.address() as AddressInfo;
  assert.equal((await fetch(`http://127.0.0.1:${port}/v1/users/u1/recommendations?k=1`)).status, 200);
});

test('callers whose bodies do not come shut nobody out', async (t) => {
  const { app } = await build(t, { REELFUSE_MAX_QUEUE: '4' });
  await putClips(app, 3);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const get = async (): Promise<number> => (await fetch(`http://127.0.0.1:${port}/v1/users/u1/recommendations?k=1`)).status;
  const body = JSON.stringify({ user_id: 'u1', k: 1 });
  const head = `POST /v1/recommendations HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n`;
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const stalled: Socket[] = [];
  for (let n = 0; n < 4; n++) {
    const arrived = once(app.server, 'request');
    stalled.push(await dial(port));
    stalled[n]?.write(head + body.slice(0, n));
    await arrived;
  }
  assert.equal(await get(), 503);
  t.mock.timers.tick(1000);
  assert.equal(await get(), 200);
  let answers = '';
  for (const [n, socket] of stalled.entries()) {
    socket.setEncoding('latin1').on('data', (text: string) => (answers += text));
    socket.write(body.slice(n)); // slow, but not lost
    await once(socket, 'close');
  }
  assert.equal(answers.match(/HTTP\/1.1 200/g)?.length, 4);
  assert.equal(await get(), 200); // their places were given back once
});
