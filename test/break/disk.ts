import { setTimeout } from 'node:timers/promises';
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { restoreEmbedded } from '../../src/composition/embedded-backup.js';
import { messageOf } from '../../src/errors.js';
import { faultOf } from './bodies.js';
import { call } from './call.js';
import { dumpOf } from './dump.js';
import { openFaults, type Faults, type Plan } from './faults.js';
import { prepareFiles, underServer } from './kill-cases.js';
import { openLedger } from './ledger.js';
import { disorderOf, runProgram, startProgram, type RunningServer } from './program.js';
import type { Random, Round, Trial } from './trial.js';

/** Faults of a disk, and a power cut at the end, under the server and under the commands. */
const PLANS: Record<string, (random: Random) => Plan> = {
  'I/O errors': (random) => ({ io_error: 1000 + random.below(100_000) }),
  'full disk': (random) => ({ full: 1000 + random.below(400_000) }),
  'full disk, all writes': () => ({ full: 1_000_000 }),
  'short writes': (random) => ({ short_write: 10_000 + random.below(500_000) }),
  'failing reads': (random) => ({ read_error: 10_000 + random.below(300_000) }),
  'failing reads, all': () => ({ read_error: 1_000_000 }),
  'all of them': (random) => ({ io_error: random.below(30_000), full: random.below(30_000), short_write: random.below(100_000) }),
};

const WRITES = 60;
/** Statuses that a failing disk may have. */
const ALLOWED = new Set([0, 200, 201, 202, 207, 404, 409, 503, 507]);

interface Sum {
  rounds: number;
  calls: number;
  faults: number;
  refused: number;
  wrong: number;
}

export async function disk(trial: Trial): Promise<void> {
  const files = prepareFiles(join(trial.folder, 'files'));
  const whole = join(trial.folder, 'whole');
  const backup = join(trial.folder, 'backup');
  await underServer(trial.folder, { REELFUSE_DATA_DIR: whole }, ({ url }) => openLedger('before').write(url, trial.random(trial.seed), 40));
  await runProgram(['backup', '--quiet', '--to', backup], { REELFUSE_DATA_DIR: whole });
  const under = join(trial.folder, 'round');
  const faults = openFaults(trial.folder, under);
  const sums = new Map<string, Sum>();
  const note = (kind: string, round: Round, refused: number, wrong: readonly string[]): void => {
    const sum = sums.get(kind) ?? { rounds: 0, calls: 0, faults: 0, refused: 0, wrong: 0 };
    sums.set(kind, sum);
    sum.rounds++;
    sum.calls += faults.calls();
    sum.faults += faults.injected();
    sum.refused += refused;
    sum.wrong += wrong.length;
    trial.count('faults', faults.injected());
    for (const text of wrong) trial.wrong(round, `${kind}: ${text}`);
  };
  for (const round of trial.rounds(trial.isShort ? 2 : 20)) {
    rmSync(under, { recursive: true, force: true });
    mkdirSync(under);
    const data = join(under, 'data');
    cpSync(whole, data, { recursive: true });
    const kind = Object.keys(PLANS)[round.seed % Object.keys(PLANS).length] ?? '';
    const plan = { ...PLANS[kind]?.(round.random), seed: round.seed };
    await serveOnFaults(trial, round, `serve, ${kind}`, data, faults, plan, note);
    await commandsOnFaults(round, kind, { under, files, backup }, faults, plan, note);
  }
  for (const [kind, { rounds, ...sum }] of sums) trial.row({ 'disk of': kind, rounds, ...sum });
}

const LOOK_MS = 200;
/** In which healing must be noticed. */
const HEALING_MS = 20_000;

type Note = (kind: string, round: Round, refused: number, wrong: readonly string[]) => void;

/** Writes while the disk fails, then while it works again, then loses power; what was acknowledged must be there each time. */
async function serveOnFaults(trial: Trial, round: Round, kind: string, data: string, faults: Faults, plan: Plan, note: Note): Promise<void> {
  const environment = { REELFUSE_DATA_DIR: data };
  const ledger = openLedger('disk');
  const wrong: string[] = [];
  let isFailing = false;
  faults.plan({});
  let server = await ready(trial, { ...environment, ...faults.environment });
  if (faults.calls() === 0) throw new Error('the library of faults has seen no call');
  faults.plan(plan);
  const onReply = (what: string, reply: Parameters<typeof faultOf>[0]): void => {
    trial.count('requests');
    // SQLite calls a database damaged that cannot be read
    const isUnread = kind.includes('reads') && reply.text.includes('"code":"damaged"');
    if (!ALLOWED.has(reply.status) && !isUnread) wrong.push(`${what} was answered ${reply.status} ${reply.text.slice(0, 200)}`);
    else if (
      reply.status >= 400 &&
      faultOf({ ...reply, status: reply.status }, { statuses: ['default'] })?.startsWith(`${reply.status} is `) === true
    )
      wrong.push(`${what}: ${faultOf(reply, { statuses: ['default'] })}`);
    if (/"code":"(storage_(full|failed)|damaged)"/.test(reply.text)) isFailing = true;
  };
  const write = (): Promise<void> => ledger.write(server.url, round.random, WRITES, onReply);
  await write();
  await call(server.url, 'POST', '/v1/snapshots');
  const read = await call(server.url, 'POST', '/v1/recommendations', { history: ['clip-0001'], k: 5 });
  if (server.isAlive() && read.status !== 200) wrong.push(`a read was answered ${read.status} ${read.text.slice(0, 200)}`);
  if (isFailing && server.isAlive() && (await readiness(server)) !== 'degraded') wrong.push('writes were refused, and /readyz is not degraded');
  note(kind, round, ledger.refused, wrong.splice(0));
  faults.plan({});
  if (!server.isAlive()) {
    trial.count('deaths');
    const { code, stderr } = await server.ended;
    if (code !== 70) wrong.push(`the process ended with ${code}: ${stderr.slice(-300)}`);
    server = await ready(trial, { ...environment, ...faults.environment });
  }
  wrong.push(...(await ledger.compare(server.url)));
  const refused = ledger.refused;
  await write();
  if (!(await becomesReady(server))) wrong.push(`the disk works again, and /readyz still says ${await readiness(server)} after ${HEALING_MS} ms`);
  if (ledger.refused > refused + 10) wrong.push(`with a whole disk again ${ledger.refused - refused} writes were refused`); // deletes of what is not there are
  note(`${kind}, then whole`, round, ledger.refused - refused, wrong.splice(0));

  faults.plan({ kill_at: 1 + round.random.below(400), torn: 1, lose: 1, seed: round.seed });
  await write();
  if (server.isAlive()) await call(server.url, 'POST', '/v1/snapshots');
  if (server.isAlive()) await server.end('SIGKILL');
  else trial.count('power cuts');
  faults.plan({});
  server = await ready(trial, environment);
  wrong.push(...(await ledger.compare(server.url)));
  await server.end('SIGTERM');
  wrong.push(...damage(data));
  note('serve, power cut', round, 0, wrong);
}

async function readiness({ url }: RunningServer): Promise<unknown> {
  const { text } = await call(url, 'GET', '/readyz');
  return (JSON.parse(text) as { status: unknown }).status;
}

async function becomesReady(server: RunningServer): Promise<boolean> {
  const end = performance.now() + HEALING_MS;
  while ((await readiness(server)) !== 'ready' && performance.now() < end) await setTimeout(LOOK_MS);
  return (await readiness(server)) === 'ready';
}

async function ready(trial: Trial, environment: Record<string, string>): Promise<RunningServer> {
  const server = await startProgram(trial.folder, environment);
  if ('url' in server) return server;
  throw new Error(`the server ended with ${server.code ?? server.signal}: ${server.stderr.slice(-500)}`);
}

function damage(data: string): string[] {
  try {
    dumpOf(data);
    return [];
  } catch (error) {
    return [messageOf(error)];
  }
}

/** A command on a failing disk says what failed and leaves nothing that is taken for whole; on a whole disk it then succeeds. */
async function commandsOnFaults(
  round: Round,
  kind: string,
  { under, files, backup }: { under: string; files: string; backup: string },
  faults: Faults,
  plan: Plan,
  note: Note,
): Promise<void> {
  const data = join(under, 'data');
  const [target, restored, imported] = ['target', 'restored', 'imported'].map((name) => join(under, name)) as [string, string, string];
  const commands: [name: string, args: string[], dataDir: string][] = [
    ['backup', ['backup', '--quiet', '--to', target], data],
    ['restore', ['restore', '--quiet', '--from', backup], restored],
    ['import', ['import', '--quiet', '--items', join(files, 'items.jsonl'), '--history', join(files, 'events.jsonl')], imported],
  ];
  const expected: Record<string, number> = { backup: 0, restore: 0, import: 1 };
  for (const [name, args, dataDir] of commands) {
    const wrong: string[] = [];
    faults.plan(plan);
    const first = await runProgram(args, { REELFUSE_DATA_DIR: dataDir, ...faults.environment });
    const failed = first.code !== expected[name];
    if (first.hung || first.signal !== null) wrong.push(`ended by ${first.signal ?? 'our patience'}: ${first.stderr.slice(0, 200)}`);
    else if (failed) wrong.push(...[disorderOf(first)].filter((text) => text !== null));
    note(`${name}, ${kind}`, round, failed ? 1 : 0, wrong.splice(0));
    faults.plan({});
    if (failed) {
      const again = await runProgram(args, { REELFUSE_DATA_DIR: dataDir });
      if (again.code !== expected[name]) wrong.push(`again, on a whole disk, ended with ${again.code}: ${again.stderr.slice(0, 200)}`);
    }
    try {
      if (name === 'backup') await restoreEmbedded(target, join(under, 'check'));
      const found = dumpOf(name === 'backup' ? join(under, 'check') : dataDir);
      if (name === 'backup' && !isDeepStrictEqual(found, dumpOf(data))) wrong.push('the backup holds something else');
      if (name === 'import' && found.items.length !== 597) wrong.push(`${found.items.length} items were imported`);
    } catch (error) {
      wrong.push(`what it left cannot be used: ${messageOf(error)}`);
    }
    note(`${name}, then whole`, round, 0, wrong);
  }
}
