import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { clip, demoStates } from '../build.js';
import { call } from './call.js';
import { startReady, type RunningServer } from './program.js';
import type { Random, Round, Trial } from './trial.js';

const MIB = 1024 * 1024;
const MAX_MEMORY_MIB = 400;
const ANSWER_MS = 20_000;

/** What becomes of an upload. */
const FATES = ['whole', 'cut', 'reset', 'stalled', 'never read', 'garbage rows'] as const;
type Fate = (typeof FATES)[number];

interface Upload {
  lines: string[];
  /** Ids of the good rows, by row. */
  ids: Map<number, string>;
}

/** Uploads of NDJSON that end badly, several at once: every row that was acknowledged is there, and the server goes on. */
export async function streams(trial: Trial): Promise<void> {
  const server = await startReady(trial.folder, { REELFUSE_DATA_DIR: `${trial.folder}/data` });
  trial.after(async () => void (await server.end('SIGTERM')));
  server.peakMemory();
  const start = server.peakMemory();
  for (const round of trial.rounds(trial.isShort ? 6 : 40)) {
    const fates = Array.from({ length: 4 }, () => round.random.pick(FATES));
    const uploads = fates.map((fate, n) => ({ fate, upload: makeUpload(round, n, fate) }));
    const received = await Promise.all(uploads.map(({ fate, upload }) => send(trial, server, round.random, fate, upload)));
    if (!server.isAlive()) throw new Error(`seed ${round.seed}: the server ended: ${server.output().slice(-500)}`);
    for (const [n, { fate, upload }] of uploads.entries()) {
      const text = received[n] ?? '';
      trial.count(`uploads ${fate}`);
      for (const problem of await compare(trial, server, fate, upload, text)) trial.wrong(round, `${fate}: ${problem}`);
    }
    const live = await call(server.url, 'GET', '/livez');
    if (live.status !== 200) trial.wrong(round, `/livez gave ${live.status}`);
  }
  const { loop_ms: loop } = await server.probe();
  const memory = Math.round((server.peakMemory() - start) / MIB);
  if (memory > MAX_MEMORY_MIB) trial.wrong(trial, `memory grew by ${memory} MiB`);
  trial.row({ 'memory MiB': memory, 'longest turn ms': Math.round(loop), 'open sockets': server.sockets() });
}

const GARBAGE = [
  '{',
  'null',
  '[]',
  '"',
  '{"item_id":1}',
  '\u0000\u0001',
  '{"item_id":"x","__proto__":{"a":1}}',
  `{"item_id":"${'x'.repeat(200)}"}`,
  '{"colour":1}',
  '\ud800',
];

function makeUpload({ seed, random }: Round, number: number, fate: Fate): Upload {
  const ids = new Map<number, string>();
  const lines = Array.from({ length: 20 + random.below(300) }, (_, row) => {
    if (fate === 'garbage rows' && random.chance(0.5)) return random.pick(GARBAGE);
    const id = `stream-${seed}-${number}-${row}`;
    ids.set(row, id);
    return JSON.stringify({ item_id: id, title: `t${row}`, ...(random.chance(0.3) && { hidden_states: demoStates(clip(1 + random.below(1000))) }) });
  });
  return { lines, ids };
}

/** @returns what was received */
async function send(trial: Trial, { port }: RunningServer, random: Random, fate: Fate, { lines }: Upload): Promise<string> {
  trial.count('uploads');
  const socket: Socket = connect(port, '127.0.0.1');
  let received = '';
  socket.on('error', () => undefined);
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  if (fate === 'never read') socket.pause();
  else socket.on('data', (bytes: Buffer) => (received += bytes.toString('latin1')));
  socket.write(
    'POST /v1/items/batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\naccept: application/x-ndjson\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n',
  );
  const chunk = (text: string): boolean => {
    const bytes = Buffer.from(text);
    return socket.write(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]));
  };
  const stop = fate === 'cut' || fate === 'reset' || fate === 'stalled' ? random.below(lines.length) : lines.length;
  for (let row = 0; row < stop && !socket.destroyed; row++) {
    chunk(`${lines[row]}\n`);
    if (row % 16 === 0) await sleep(random.below(3));
  }
  if (fate === 'whole' || fate === 'garbage rows' || fate === 'never read') socket.write('0\r\n\r\n');
  else chunk((lines[stop] ?? '').slice(0, 10)); // half a row
  if (fate === 'cut') socket.end();
  if (fate === 'reset') {
    await sleep(random.below(50));
    socket.resetAndDestroy();
  }
  if (fate === 'stalled' || fate === 'never read') {
    await sleep(100 + random.below(300));
    socket.destroy();
  }
  await Promise.race([ended, sleep(ANSWER_MS, undefined, { ref: false })]);
  if (!socket.destroyed) {
    socket.destroy();
    if (fate !== 'stalled') trial.wrong(trial, `${fate}: no end of the answer within ${ANSWER_MS} ms`);
  }
  return received;
}

/** Rows that were answered by 200 or 201 are there as they were sent; a whole upload is answered row by row. */
async function compare(trial: Trial, server: RunningServer, fate: Fate, { lines, ids }: Upload, received: string): Promise<string[]> {
  const wrong: string[] = [];
  const results = resultsIn(received);
  const acknowledged = results.filter(({ status }) => status < 300).map(({ item_id: id }) => id);
  trial.count('rows acknowledged', acknowledged.length);
  const isWhole = fate === 'whole' || fate === 'garbage rows';
  if (isWhole && acknowledged.length !== ids.size)
    wrong.push(`${acknowledged.length} of ${ids.size} good rows were acknowledged: ${received.slice(0, 200)}`);
  if (isWhole && results.length !== lines.length) wrong.push(`${results.length} results for ${lines.length} rows`);
  for (const id of acknowledged) {
    const reply = await call(server.url, 'GET', `/v1/items/${id}`);
    if (reply.status !== 200) wrong.push(`${id} was acknowledged and is answered ${reply.status}`);
  }
  return wrong;
}

/** The rows of an answer in chunks, as far as they arrived whole. */
function resultsIn(received: string): { item_id: string; status: number }[] {
  const body = received.slice(received.indexOf('\r\n\r\n') + 2).replaceAll(/\r\n[0-9a-f]+\r\n/g, '');
  return body.split('\n').flatMap((line) => {
    try {
      return [JSON.parse(line) as { item_id: string; status: number }];
    } catch {
      return []; // the end of the answer, or a line that was cut
    }
  });
}
