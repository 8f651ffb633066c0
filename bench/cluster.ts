import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { createMetrics } from '../src/metrics.js';
import { packageFile } from '../src/package-root.js';
import { openPostgresStores, type PostgresStores } from '../src/store/postgres/postgres-stores.js';
import { startPostgres, type PostgresServer } from '../test/postgres/server.js';
import { fillStore, fillStores, itemId } from './catalogue.js';
import { atRate, table, timesOf, type Times } from './load.js';
import { EMBEDS_ALWAYS, freePort } from './prepared.js';
import { load, startProgram, type Running } from './processes.js';

const SCRIPT = packageFile('bench', 'peer', 'load.lua');
const K = 20;
const WARM_SECONDS = 3;

/** Of the feed at one rate of events. */
interface FeedDelay {
  asked: number;
  /** Events a second that were acknowledged. */
  rate: number;
  /** From the call of the writing server to the other one, milliseconds. */
  delay: Times;
  acknowledged: Times;
}

interface Side {
  side: 'SQLite' | 'PostgreSQL';
  rate: number;
  p99: number;
  /** CPU microseconds of the server for one request. */
  cpu: number;
  /** Transactions of the database for one request; null: it has none. */
  transactions: number | null;
}

/**
 * Servers over PostgreSQL, which must be installed: the delay of the change feed between two of them, a server's CPU a request against
 * one on SQLite in turns, and the time to ready of a new server from the database alone.
 */
export async function cluster(options: ReadonlyMap<string, number>): Promise<unknown> {
  const option = (name: string, fallback: number): number => options.get(name) ?? fallback;
  const folder = mkdtempSync(join(tmpdir(), 'reelfuse-cluster-'));
  const database = await startPostgres();
  try {
    const feed: FeedDelay[] = [];
    for (const rate of [1000, 10_000]) feed.push(await measureFeed(await database.createDatabase(), rate, option('seconds', 5)));
    const sides = await compareSides(database, folder, {
      items: option('items', 20_000),
      users: option('users', 2000),
      seconds: option('seconds', 5),
      repeats: option('repeats', 3),
    });
    const ready: { items: number; fillSeconds: number; readySeconds: number }[] = [];
    for (const items of [option('catalogue', 100_000)]) ready.push(await measureStart(database, folder, items));
    const report = { processor: cpus()[0]?.model, feed, sides, ready };
    process.stderr.write(describe(report));
    return report;
  } finally {
    await database.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}

const open = (url: string): Promise<PostgresStores> => openPostgresStores({ url, metrics: createMetrics() });

async function measureFeed(url: string, rate: number, seconds: number): Promise<FeedDelay> {
  const [writer, reader] = [await open(url), await open(url)];
  const size = rate / 100;
  const begun = new Map<string, number>();
  const delays: number[] = [];
  reader.events.onCount(({ positives }) => {
    const now = performance.now();
    for (const { item_id: id } of positives) {
      const sent = begun.get(id);
      if (sent !== undefined) delays.push(now - sent);
    }
  });
  const started = performance.now();
  const acknowledged = await atRate(
    rate / size,
    () => performance.now() - started < seconds * 1000,
    async (call) => {
      const events = Array.from({ length: size }, (_, n) => ({
        event_id: `e ${call} ${n}`,
        user_id: `u ${call % 997}`,
        item_id: `i ${call} ${n}`,
        type: 'view' as const,
        at: Date.now(),
        watch_ms: null,
        duration_ms: null,
        watch_portion: null,
        recommendation_id: null,
        positive: true,
      }));
      const sent = performance.now();
      for (const { item_id: id } of events) begun.set(id, sent);
      await writer.events.append(events);
    },
  );
  const elapsed = (performance.now() - started) / 1000;
  await reader.feed.settled(writer.changes.sequence, 10_000);
  await writer.close();
  await reader.close();
  if (delays.length !== begun.size) throw new Error(`${begun.size} events were written, ${delays.length} heard`);
  return { asked: rate, rate: Math.round(delays.length / elapsed), delay: timesOf(delays), acknowledged: timesOf(acknowledged) };
}

const start = async (environment: Record<string, string>): Promise<Running & { port: number }> => {
  const port = await freePort();
  const settings = { REELFUSE_PORT: String(port), REELFUSE_LOG_LEVEL: 'warn', REELFUSE_EXECUTION_PROVIDERS: 'cpu', ...EMBEDS_ALWAYS };
  const program = [packageFile('dist', 'src', 'main.js'), 'serve'];
  const running = await startProgram(
    process.execPath,
    ['--max-semi-space-size=64', ...program], // as `npm start`
    { ...settings, ...environment },
    `http://127.0.0.1:${port}/readyz`,
  );
  return { ...running, port };
};

interface Sizes {
  items: number;
  users: number;
  seconds: number;
  repeats: number;
}

async function compareSides(database: PostgresServer, folder: string, { items, users, seconds, repeats }: Sizes): Promise<Side[]> {
  const bodies = join(folder, 'bodies.jsonl');
  writeFileSync(bodies, Array.from({ length: users }, (_, n) => `${JSON.stringify({ user_id: `user-${n}`, k: K })}\n`).join(''));
  await fillStore(join(folder, 'data'), items, users);
  const url = await database.createDatabase();
  const stores = await open(url);
  await fillStores(stores, items, users);
  await stores.close();
  const environments: Record<Side['side'], Record<string, string>> = {
    SQLite: { REELFUSE_DATA_DIR: join(folder, 'data') },
    PostgreSQL: { REELFUSE_DATA_DIR: join(folder, 'cache'), REELFUSE_DATABASE_URL: url },
  };
  const rounds: Side[] = [];
  for (let round = 0; round < repeats; round++)
    for (const side of round % 2 === 0 ? (['SQLite', 'PostgreSQL'] as const) : (['PostgreSQL', 'SQLite'] as const)) {
      const server = await start(environments[side]);
      try {
        const run = (duration: number) =>
          load(SCRIPT, { BODIES: bodies }, `http://127.0.0.1:${server.port}/v1/recommendations`, server.pid, 32, duration);
        await run(WARM_SECONDS); // every history is in memory afterwards
        const before = side === 'SQLite' ? null : await transactions(url);
        const { rate, p99, cpu, errors } = await run(seconds);
        if (errors > 0) throw new Error(`${errors} requests failed`);
        const after = before === null ? null : (await transactions(url)) - before;
        rounds.push({ side, rate, p99, cpu, transactions: after === null ? null : after / (rate * seconds) });
      } finally {
        await server.stop();
      }
    }
  return (['SQLite', 'PostgreSQL'] as const).map((side) => medianOf(rounds.filter((round) => round.side === side)));
}

/** Transactions of the database so far; its own counter lags behind by a second. */
async function transactions(url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ count: string }>('SELECT xact_commit AS count FROM pg_stat_database WHERE datname = current_database()');
    return Number(rows[0]?.count);
  } finally {
    await client.end();
  }
}

function medianOf(rounds: readonly Side[]): Side {
  const middle = (of: (round: Side) => number): number => rounds.map(of).sort((a, b) => a - b)[Math.floor(rounds.length / 2)] ?? NaN;
  const [first] = rounds;
  if (first === undefined) throw new Error('no round was measured');
  return {
    side: first.side,
    rate: middle(({ rate }) => rate),
    p99: middle(({ p99 }) => p99),
    cpu: middle(({ cpu }) => cpu),
    transactions: first.transactions === null ? null : middle(({ transactions: count }) => count ?? NaN),
  };
}

/** @returns seconds to fill the database, and from the start of a server without any file to its readiness */
async function measureStart(database: PostgresServer, folder: string, items: number) {
  const url = await database.createDatabase();
  const stores = await open(url);
  const filling = performance.now();
  await fillStores(stores, items, 100);
  const fillSeconds = (performance.now() - filling) / 1000;
  await stores.close();
  const starting = performance.now();
  const server = await start({ REELFUSE_DATA_DIR: join(folder, 'new'), REELFUSE_DATABASE_URL: url });
  const readySeconds = (performance.now() - starting) / 1000;
  try {
    const answer = await fetch(`http://127.0.0.1:${server.port}/v1/recommendations`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ history: [itemId(1)], k: K }),
    });
    const { items: found } = (await answer.json()) as { items: unknown[] };
    if (found.length !== K) throw new Error(`a new server answers with ${found.length} items`);
  } finally {
    await server.stop();
  }
  return { items, fillSeconds, readySeconds };
}

interface Report {
  feed: readonly FeedDelay[];
  sides: readonly Side[];
  ready: readonly { items: number; fillSeconds: number; readySeconds: number }[];
}

const describe = ({ feed, sides, ready }: Report): string =>
  [
    table(
      ['events/s asked', 'events/s', 'delay p50 ms', 'p99', 'acknowledged p50 ms', 'p99'],
      feed.map(({ asked, rate, delay, acknowledged }) => [asked, rate, delay.p50, delay.p99, acknowledged.p50, acknowledged.p99]),
    ),
    table(
      ['store', 'requests/s', 'p99 ms', 'CPU µs', 'transactions a request'],
      sides.map(({ side, rate, p99, cpu, transactions: count }) => [
        side,
        Math.round(rate),
        p99,
        Math.round(cpu),
        count === null ? '' : Number(count.toFixed(4)),
      ]),
    ),
    table(
      ['items', 'filled in s', 'new server ready in s'],
      ready.map(({ items, fillSeconds, readySeconds }) => [items, Number(fillSeconds.toFixed(1)), Number(readySeconds.toFixed(1))]),
    ),
    '',
  ].join('\n\n');
