import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { call } from './call.js';
import { startReady, type RunningServer } from './program.js';
import type { Random, Trial } from './trial.js';

const MIB = 1024 * 1024;
const MAX_MEMORY_MIB = 300;
const ANSWER_MS = 15_000;
const LIVE_MS = 1000;
const IDLE = { full: 3000, short: 500 };

const random16 = (random: Random): Buffer => Buffer.from(Array.from({ length: 16 + random.below(2000) }, () => random.below(256)));
const get = (path = '/livez', headers = ''): string => `GET ${path} HTTP/1.1\r\nhost: x\r\n${headers}\r\n`;
const post = (body: string, headers: string): string =>
  `POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n${headers}\r\n${body}`;

/** What is sent on a connection of its own. A kind that must be answered names the status. */
const KINDS: Record<string, (random: Random) => { bytes: Buffer | string; status?: RegExp }> = {
  garbage: (random) => ({ bytes: random16(random) }),
  'garbage in a request': (random) => ({
    bytes: Buffer.concat([Buffer.from('GET /livez HTTP/1.1\r\nhost: '), random16(random), Buffer.from('\r\n\r\n')]),
  }),
  TLS: () => ({ bytes: Buffer.from('16030100f8010000f40303', 'hex'), status: /^400$/ }),
  'half a line': (random) => ({ bytes: get().slice(0, 1 + random.below(15)) }),
  'half a body': () => ({ bytes: post('{"events":[', 'content-length: 1000\r\n') }),
  'no host': () => ({ bytes: 'GET /livez HTTP/1.1\r\n\r\n', status: /^400$/ }),
  'HTTP/1.0': () => ({ bytes: 'GET /livez HTTP/1.0\r\n\r\n', status: /^200$/ }),
  'HTTP/2': () => ({ bytes: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', status: /^(400|505)$/ }),
  'two lengths': () => ({ bytes: post('{}', 'content-length: 2\r\ncontent-length: 3\r\n'), status: /^400$/ }),
  'length and chunks': () => ({ bytes: post('0\r\n\r\n', 'content-length: 5\r\ntransfer-encoding: chunked\r\n'), status: /^400$/ }),
  'negative length': () => ({ bytes: post('', 'content-length: -1\r\n'), status: /^400$/ }),
  'length of 1e30': () => ({ bytes: post('', `content-length: ${'9'.repeat(30)}\r\n`), status: /^4\d\d$/ }),
  'broken chunk': () => ({ bytes: post('zz\r\n{}\r\n', 'transfer-encoding: chunked\r\n'), status: /^400$/ }),
  'huge chunk': () => ({ bytes: post('ffffffffffffffff\r\n{}', 'transfer-encoding: chunked\r\n') }),
  'large headers': () => ({ bytes: get('/livez', `x: ${'x'.repeat(200_000)}\r\n`), status: /^431$/ }),
  'many headers': () => ({ bytes: get('/livez', 'x: y\r\n'.repeat(5000)) }),
  'long path': () => ({ bytes: get(`/${'a'.repeat(60_000)}`, 'connection: close\r\n'), status: /^4\d\d$/ }),
  'malformed path': (random) => ({
    bytes: get(random.pick(['/%', '/%ff%fe', '//', '/v1/items/%00', '/../../etc/passwd', '*', 'http://other/livez']), 'connection: close\r\n'),
    status: /^(200|[34]\d\d)$/,
  }),
  'odd method': (random) => ({ bytes: get().replace('GET', random.pick(['TRACE', 'CONNECT', 'FOO', 'PURGE', 'get'])) }),
  upgrade: () => ({ bytes: get('/livez', 'connection: upgrade\r\nupgrade: websocket\r\n') }),
  'expect 100': () => ({ bytes: post('', 'content-length: 2\r\nexpect: 100-continue\r\n') }),
  pipelined: () => ({ bytes: get().repeat(200) + get('/livez', 'connection: close\r\n'), status: /^200$/ }),
};

/** Raw connections: garbage, halves, resets, slow bytes and thousands that stay idle; the server answers others meanwhile. */
export async function sockets(trial: Trial): Promise<void> {
  const server = await startReady(trial.folder, { REELFUSE_DATA_DIR: `${trial.folder}/data` });
  trial.after(async () => void (await server.end('SIGTERM')));
  const openBefore = server.sockets();
  server.peakMemory();
  const start = server.peakMemory();
  const sums = new Map<string, { sent: number; statuses: Set<string> }>();
  for (const round of trial.rounds(trial.isShort ? 4 : 30)) {
    await Promise.all(
      Object.entries(KINDS).map(async ([kind, make]) => {
        const { bytes, status } = make(round.random);
        const found = await exchange(server, round.random, bytes, status !== undefined);
        trial.count('connections');
        const sum = sums.get(kind) ?? { sent: 0, statuses: new Set() };
        sums.set(kind, sum);
        sum.sent++;
        sum.statuses.add(found);
        if (status !== undefined && !status.test(found)) trial.wrong(round, `${kind} was answered ${found}`);
        if (/^5\d\d$/.test(found) && found !== '501' && found !== '505') trial.wrong(round, `${kind} was answered ${found}`);
      }),
    );
    if (!server.isAlive()) throw new Error(`seed ${round.seed}: the server ended: ${server.output().slice(-500)}`);
    await mustLive(trial, round, server, 'after raw requests');
  }
  await idle(trial, server, trial.isShort ? IDLE.short : IDLE.full);
  await settled(server, openBefore);
  if (server.sockets() > openBefore + 5) trial.wrong(trial, `${server.sockets() - openBefore} connections were not closed`);
  const memory = Math.round((server.peakMemory() - start) / MIB);
  if (memory > MAX_MEMORY_MIB) trial.wrong(trial, `memory grew by ${memory} MiB`);
  for (const [kind, { sent, statuses }] of sums) trial.row({ connection: kind, sent, answered: [...statuses].sort().join(' ') });
  trial.row({ connection: `${trial.isShort ? IDLE.short : IDLE.full} idle and slow, memory ${memory} MiB`, sent: 1, answered: '' });
}

/** @returns the first status; 'closed' or 'open' without an answer */
async function exchange({ port }: RunningServer, random: Random, bytes: Buffer | string, isAnswered: boolean): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let received = '';
  let isClosed = false;
  socket.on('error', () => undefined);
  const ended = new Promise<void>((resolve) =>
    socket.once('close', () => {
      isClosed = true;
      resolve();
    }),
  );
  const answered = new Promise<void>((resolve) =>
    socket.on('data', (piece: Buffer) => {
      received += piece.toString('latin1');
      resolve();
    }),
  );
  const whole = Buffer.from(bytes as string);
  if (!isAnswered && random.chance(0.3)) {
    for (let at = 0; at < Math.min(whole.length, 50) && !socket.destroyed; at++) {
      socket.write(whole.subarray(at, at + 1));
      await sleep(1);
    }
  } else socket.write(whole);
  await Promise.race([ended, answered, sleep(isAnswered ? ANSWER_MS : 200, undefined, { ref: false })]);
  if (random.chance(0.5)) socket.resetAndDestroy();
  else socket.destroy();
  return /^HTTP\/1\.1 (\d{3})/.exec(received)?.[1] ?? (isClosed ? 'closed' : 'open');
}

async function mustLive(trial: Trial, round: { seed: number }, server: RunningServer, when: string): Promise<void> {
  const live = await call(server.url, 'GET', '/livez', null, {}, ANSWER_MS);
  if (live.status !== 200 || live.ms > LIVE_MS) trial.wrong(round, `${when} /livez gave ${live.status} ${live.text} after ${live.ms} ms`);
}

/** Many connections that say nothing, or a byte now and then. */
async function idle(trial: Trial, server: RunningServer, count: number): Promise<void> {
  const open: Socket[] = [];
  for (let n = 0; n < count; n++) {
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => undefined);
    open.push(socket);
    if (n % 100 === 99) await sleep(5);
  }
  for (let turn = 0; turn < 5; turn++) {
    for (let n = 0; n < open.length; n += 3) open[n]?.write(get()[turn] ?? '');
    await mustLive(trial, trial, server, `with ${count} idle connections`);
    const reply = await call(server.url, 'POST', '/v1/recommendations', { history: ['clip-0001'], k: 5 });
    if (reply.status !== 200)
      trial.wrong(trial, `with ${count} idle connections a recommendation was answered ${reply.status} ${reply.text.slice(0, 100)}`);
    await sleep(50);
  }
  trial.count('idle connections', count);
  for (const socket of open) socket.destroy();
}

async function settled(server: RunningServer, wanted: number): Promise<void> {
  const end = performance.now() + ANSWER_MS;
  while (server.sockets() > wanted + 5 && performance.now() < end) await sleep(50);
}
