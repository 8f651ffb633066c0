import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { freePort } from '../free-port.js';

const FAMILY = '/usr/lib/postgresql';
const START_MS = 60_000;

/** Folder of PostgreSQL's programs; null: there is none on this machine. */
export function postgresPrograms(): string | null {
  const folders = existsSync(FAMILY) ? readdirSync(FAMILY).sort((a, b) => Number(b) - Number(a)) : [];
  const found = folders.map((version) => join(FAMILY, version, 'bin')).find((bin) => existsSync(join(bin, 'initdb')));
  if (found !== undefined) return found;
  try {
    return execFileSync('pg_config', ['--bindir'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return null;
  }
}

/** A server of PostgreSQL of its own, on loopback. */
export interface PostgresServer {
  /** Of the primary. */
  readonly port: number;
  /** The address of a database. */
  url(database?: string): string;
  /** The address with the places of primary and standby. */
  urls(url: string): string;
  /** Makes an empty database. @returns its address */
  createDatabase(): Promise<string>;
  /** Ends it as a power cut does, and waits until it is gone. */
  kill(): Promise<void>;
  /** Starts it again, after it has ended. */
  start(): Promise<void>;
  /** Makes a synchronous standby. @returns a function that ends the primary as a power cut does, and lets the standby take over */
  prepareFailover(): Promise<() => Promise<void>>;
  /** Ends it and removes its files. */
  remove(): Promise<void>;
}

type User = { uid?: number; gid?: number };

/** PostgreSQL refuses to run as root. */
function userOf(): User {
  if (process.getuid?.() !== 0) return {};
  const idOf = (kind: '-u' | '-g'): number => Number(execFileSync('id', [kind, 'postgres'], { encoding: 'utf8' }));
  return { uid: idOf('-u'), gid: idOf('-g') };
}

/** Where servers run: programs, a folder and two ports. */
interface Place {
  bin: string;
  folder: string;
  environment: NodeJS.ProcessEnv;
  user: User;
  ports: readonly [number, number];
}

/** @param settings lines of postgresql.conf */
export async function startPostgres(settings: readonly string[] = []): Promise<PostgresServer> {
  const bin = postgresPrograms();
  if (bin === null) throw new Error('PostgreSQL is not installed: apt-get install postgresql');
  const folder = mkdtempSync(join(tmpdir(), 'reelfuse-postgres-'));
  chmodSync(folder, 0o755);
  const place: Place = {
    bin,
    folder,
    environment: { ...process.env, LC_ALL: 'C', HOME: folder },
    user: userOf(),
    ports: [await freePort(), await freePort()],
  };
  const dataDir = folderOf(place, 0);
  execFileSync(join(bin, 'initdb'), ['-D', dataDir, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync'], {
    stdio: 'ignore',
    env: place.environment,
    ...place.user,
  });
  appendFileSync(join(dataDir, 'postgresql.conf'), [`listen_addresses = '127.0.0.1'`, 'max_connections = 200', ...settings, ''].join('\n'));
  return openServer(place, await startInstance(place, dataDir, place.ports[0]));
}

function folderOf({ folder, user }: Place, number: number): string {
  const dataDir = join(folder, `data-${number}`);
  mkdirSync(dataDir);
  if (user.uid !== undefined && user.gid !== undefined) chownSync(dataDir, user.uid, user.gid);
  chmodSync(dataDir, 0o700);
  return dataDir;
}

/** One running server. */
interface Instance {
  dataDir: string;
  port: number;
  end(signal: NodeJS.Signals): Promise<void>;
}

const addressOf = (port: number, database: string): string => `postgres://postgres@127.0.0.1:${port}/${database}`;

async function query<Row extends object>(port: number, text: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: addressOf(port, 'postgres') });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Row & Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

async function startInstance({ bin, environment, user }: Place, dataDir: string, port: number): Promise<Instance> {
  const child: ChildProcess = spawn(join(bin, 'postgres'), ['-D', dataDir, '-c', `port=${port}`, '-c', `unix_socket_directories=${dataDir}`], {
    stdio: 'ignore',
    env: environment,
    ...user,
  });
  const ended = once(child, 'exit');
  for (const deadline = Date.now() + START_MS; ; await sleep(20)) {
    try {
      await query(port, 'SELECT 1');
      break;
    } catch (error) {
      if (Date.now() > deadline || child.exitCode !== null) throw error;
    }
  }
  return {
    dataDir,
    port,
    end: async (signal) => {
      child.kill(signal);
      await ended;
      // a restart would find the lock of the dead process
      if (signal === 'SIGKILL') rmSync(join(dataDir, 'postmaster.pid'), { force: true });
    },
  };
}

function openServer(place: Place, first: Instance): PostgresServer {
  let primary: Instance | null = first;
  let { dataDir, port } = first;
  let databases = 0;
  let folders = 1;
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const ending = primary;
    primary = null;
    await ending?.end(signal);
  };
  const start = async (): Promise<void> => {
    primary = await startInstance(place, dataDir, port);
  };
  const makeStandby = async (standbyPort: number): Promise<Instance> => {
    const target = folderOf(place, folders++);
    execFileSync(join(place.bin, 'pg_basebackup'), ['-h', '127.0.0.1', '-p', String(port), '-U', 'postgres', '-D', target, '-R', '-c', 'fast'], {
      stdio: 'ignore',
      env: place.environment,
      ...place.user,
    });
    const standby = await startInstance(place, target, standbyPort);
    await query(port, `ALTER SYSTEM SET synchronous_standby_names = '*'`);
    await query(port, 'SELECT pg_reload_conf()');
    while ((await query(port, `SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'`)).length === 0) await sleep(20);
    return standby;
  };
  return {
    get port() {
      return port;
    },
    url: (database = 'postgres') => addressOf(port, database),
    urls: (url) => url.replace(/127\.0\.0\.1:\d+/, place.ports.map((each) => `127.0.0.1:${each}`).join(',')),
    createDatabase: async () => {
      const name = `test_${++databases}`;
      await query(port, `CREATE DATABASE ${name}`);
      return addressOf(port, name);
    },
    kill: () => end('SIGKILL'),
    start,
    prepareFailover: async () => {
      const [one, other] = place.ports;
      const standby = await makeStandby(port === one ? other : one);
      return async () => {
        await end('SIGKILL');
        ({ dataDir, port } = standby);
        primary = standby;
        await query(port, 'SELECT pg_promote()');
        await query(port, `ALTER SYSTEM RESET synchronous_standby_names`);
        await query(port, 'SELECT pg_reload_conf()');
      };
    },
    remove: async () => {
      await end('SIGINT');
      rmSync(place.folder, { recursive: true, force: true });
    },
  };
}
