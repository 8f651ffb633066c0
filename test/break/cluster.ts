import { setTimeout as sleep } from 'node:timers/promises';
import { startPostgres, type PostgresServer } from '../postgres/server.js';
import { clip, demoStates } from '../build.js';
import { call } from './call.js';
import { openLedger, type Ledger } from './ledger.js';
import { startProgram, type RunningServer } from './program.js';
import type { Random, Round, Trial } from './trial.js';

const SERVERS = 3;
const WRITES = 60;
const PROBES = 6;
const SETTLE_MS = 30_000;
/** Short, so that deletes wait for a killed server only that long. */
const LEASE_SECONDS = '2';

/** What dies in a round, while all servers are written to. */
const FATES = [
  'a server',
  'a server',
  'a server',
  'two servers',
  'the database',
  'a server and the database',
  'the primary: a standby takes over',
] as const;

interface Cluster {
  database: PostgresServer;
  /** Of each place: the server that runs there. */
  servers: RunningServer[];
  restart(place: number): Promise<void>;
}

/**
 * Three servers over one PostgreSQL that are written to while servers and the database are killed: what was acknowledged is there once, on
 * every server; what was deleted is served by none from the acknowledgement on; all answer alike in the end.
 */
export async function cluster(trial: Trial): Promise<void> {
  const database = await startPostgres(['wal_level = replica', 'hot_standby = on']);
  trial.after(database.remove);
  const url = await database.createDatabase();
  const servers: RunningServer[] = [];
  const restart = async (place: number): Promise<void> => {
    for (let tries = 0; ; tries++) {
      const started = await startProgram(trial.folder, {
        REELFUSE_DATABASE_URL: database.urls(url),
        REELFUSE_DATA_DIR: `${trial.folder}/data-${place}`,
        REELFUSE_LEASE_SECONDS: LEASE_SECONDS,
      });
      if ('url' in started) {
        servers[place] = started;
        return;
      }
      if (tries === 5) throw new Error(`a server does not start: ${started.stderr.slice(-500)}`);
      await sleep(500);
    }
  };
  trial.after(async () => {
    for (const server of servers) if (server.isAlive()) await server.end('SIGTERM');
  });
  for (let place = 0; place < SERVERS; place++) await restart(place);
  const ledgers = Array.from({ length: SERVERS }, (_, place) => openLedger(`of-${place}`));
  for (const round of trial.rounds(trial.isShort ? 3 : 30)) await runRound(trial, round, { database, servers, restart }, ledgers);
}

async function runRound(trial: Trial, round: Round, { database, servers, restart }: Cluster, ledgers: readonly Ledger[]): Promise<void> {
  const { random } = round;
  const fate = random.pick(FATES);
  const takeOver = fate.includes('standby') ? await database.prepareFailover() : null;
  const before = ledgers.map(({ acknowledged }) => acknowledged);
  const writing = ledgers.map((ledger, place) => ledger.write(urlOf(servers, place), random, WRITES));
  const probing = probeDeletes(trial, round, servers);
  await sleep(50 + random.below(400));
  const dead = fate === 'two servers' ? [0, 1] : fate.startsWith('a server') ? [0] : [];
  const first = random.below(SERVERS);
  for (const place of dead) {
    await servers[(first + place) % SERVERS]?.end('SIGKILL');
    trial.count('servers killed');
  }
  if (fate.includes('database')) {
    await database.kill();
    trial.count('databases killed');
    await sleep(random.below(1500));
    await database.start();
  }
  if (takeOver !== null) {
    await takeOver();
    trial.count('failovers');
  }
  await Promise.all([...writing, probing]);
  for (const [place, server] of servers.entries()) {
    if (server.isAlive()) continue;
    const { signal, code, stderr } = await server.ended;
    // one that a failover leaves behind ends by itself, to read what the new primary has
    if (signal !== 'SIGKILL' && code !== 70) trial.wrong(round, `${fate}: a server ended with ${code ?? signal}: ${stderr.slice(-300)}`);
    await restart(place);
  }
  await settle(trial, round, servers);
  for (const [n, ledger] of ledgers.entries())
    for (const server of servers)
      for (const problem of await ledger.compare(server.url)) trial.wrong(round, `${fate}, what was written to server ${n}: ${problem}`);
  trial.count(
    'writes acknowledged',
    ledgers.reduce((sum, { acknowledged }, n) => sum + acknowledged - (before[n] ?? 0), 0),
  );
}

const urlOf = (servers: readonly RunningServer[], place: number): string => servers[place]?.url ?? '';

/** Puts items, deletes them on one server, and asks another one for them at once. */
async function probeDeletes(trial: Trial, { seed }: Round, servers: readonly RunningServer[]): Promise<void> {
  const random: Random = trial.random(seed + 1_000_000);
  const filter = { field: 'probe', eq: seed };
  for (let n = 0; n < PROBES; n++) {
    const id = `probe-${seed}-${n}`;
    const [one, other] = [random.pick(servers), random.pick(servers)];
    const put = await call(one.url, 'PUT', `/v1/items/${id}`, {
      attributes: { probe: seed },
      hidden_states: demoStates(clip(1 + random.below(1000))),
    });
    if (put.status >= 300) continue;
    const gone = random.chance(0.5)
      ? await call(one.url, 'DELETE', `/v1/items/${id}`)
      : await call(one.url, 'PATCH', `/v1/items/${id}`, { hidden: true });
    if (gone.status !== 200) continue;
    const asked = await call(other.url, 'POST', '/v1/recommendations', { history: [clip(1)], k: 50, filter, exact: true });
    if (asked.status !== 200) continue;
    trial.count('deletes and hides probed');
    if (asked.text.includes(`"${id}"`)) trial.wrong({ seed }, `${id} is served by another server after its deletion was acknowledged`);
  }
}

/** Until every server has a lease and every change, and all give the same answers. */
async function settle(trial: Trial, round: Round, servers: readonly RunningServer[]): Promise<void> {
  const deadline = performance.now() + SETTLE_MS;
  let problem = 'nothing was asked';
  while (performance.now() < deadline) {
    problem = await differenceOf(servers, round.random);
    if (problem === '') return;
    await sleep(100);
  }
  const logs = servers.map((server) => server.output().split('\n').slice(-3).join(' ').slice(-600));
  trial.wrong(round, `after ${SETTLE_MS / 1000} s: ${problem}; the servers said ${logs.join(' | ')}`);
}

async function differenceOf(servers: readonly RunningServer[], random: Random): Promise<string> {
  for (const { url } of servers) {
    const listed = await call(url, 'GET', '/v1/replicas');
    if (listed.status !== 200) return `a server answers ${listed.status} ${listed.text.slice(0, 200)}`;
    const { replicas } = JSON.parse(listed.text) as { replicas: { lease: string }[] };
    const held = replicas.filter(({ lease }) => lease === 'held').length;
    if (held !== servers.length) return `${held} of ${servers.length} servers have a lease`;
    const ready = await call(url, 'GET', '/readyz');
    if (!ready.text.includes('"ready"')) return `a server is not ready: ${ready.text.slice(0, 200)}`;
  }
  const history = [clip(1 + random.below(1000)), clip(1 + random.below(1000))];
  const answers: string[] = [];
  for (const { url } of servers) {
    const reply = await call(url, 'POST', '/v1/recommendations', { history, k: 100, exact: true });
    if (reply.status !== 200) return `a server answers ${reply.status} ${reply.text.slice(0, 200)}`;
    const { items } = JSON.parse(reply.text) as { items: { item_id: string; score: number }[] };
    answers.push(JSON.stringify(items.map(({ item_id: id, score }) => [id, score.toFixed(4)])));
  }
  return new Set(answers).size === 1 ? '' : `the servers answer otherwise: ${answers.map((answer) => answer.slice(0, 120)).join(' | ')}`;
}
