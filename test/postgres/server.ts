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
  readonly port: number;
  readonly dataDir: string;
  /** The address of a database. */
  url(database?: string): string;
  /** Makes an empty database. @returns its address */
  createDatabase(): Promise<string>;
  /** Ends it as a power cut does, and waits until it is gone. */
  kill(): Promise<void>;
  /** Starts it again, after it has ended. */
  start(): Promise<void>;
  /** Ends it and removes its files. */
  remove(): Promise<void>;
}

/** PostgreSQL refuses to run as root. */
function userOf(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const idOf = (kind: '-u' | '-g'): number => Number(execFileSync('id', [kind, 'postgres'], { encoding: 'utf8' }));
  return { uid: idOf('-u'), gid: idOf('-g') };
}

/** @param settings lines of postgresql.conf */
export async function startPostgres(settings: readonly string[] = []): Promise<PostgresServer> {
  const bin = postgresPrograms();
  if (bin === null) throw new Error('PostgreSQL is not installed: apt-get install postgresql');
  const folder = mkdtempSync(join(tmpdir(), 'reelfuse-postgres-'));
  const dataDir = join(folder, 'data');
  const user = userOf();
  mkdirSync(dataDir);
  chmodSync(folder, 0o755);
  if (user.uid !== undefined && user.gid !== undefined) chownSync(dataDir, user.uid, user.gid);
  chmodSync(dataDir, 0o700);
  const environment = { ...process.env, LC_ALL: 'C', HOME: folder };
  execFileSync(join(bin, 'initdb'), ['-D', dataDir, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync'], {
    stdio: 'ignore',
    env: environment,
    ...user,
  });
  return serverIn({ bin, folder, dataDir, environment, user, settings });
}

interface Place {
  bin: string;
  folder: string;
  dataDir: string;
  environment: NodeJS.ProcessEnv;
  user: { uid?: number; gid?: number };
  settings: readonly string[];
}

async function serverIn({ bin, folder, dataDir, environment, user, settings }: Place): Promise<PostgresServer> {
  const port = await freePort();
  appendFileSync(
    join(dataDir, 'postgresql.conf'),
    ["listen_addresses = '127.0.0.1'", `port = ${port}`, `unix_socket_directories = '${dataDir}'`, 'max_connections = 200', ...settings, ''].join(
      '\n',
    ),
  );
  let running: ChildProcess | null = null;
  let databases = 0;
  const url = (database = 'postgres'): string => `postgres://postgres@127.0.0.1:${port}/${database}`;
  const query = async (text: string): Promise<void> => {
    const client = new pg.Client({ connectionString: url() });
    client.on('error', () => undefined);
    await client.connect();
    try {
      await client.query(text);
    } finally {
      await client.end();
    }
  };
  const start = async (): Promise<void> => {
    running = spawn(join(bin, 'postgres'), ['-D', dataDir], { stdio: 'ignore', env: environment, ...user });
    for (const deadline = Date.now() + START_MS; ; await sleep(20)) {
      try {
        return await query('SELECT 1');
      } catch (error) {
        if (Date.now() > deadline || running.exitCode !== null) throw error;
      }
    }
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (running === null || running.exitCode !== null || running.signalCode !== null) return;
    const ended = once(running, 'exit');
    running.kill(signal);
    await ended;
  };
  await start();
  return {
    port,
    dataDir,
    url,
    createDatabase: async () => {
      const name = `test_${++databases}`;
      await query(`CREATE DATABASE ${name}`);
      return url(name);
    },
    kill: async () => {
      await end('SIGKILL');
      // the processes of its connections end when they notice that it is gone
      for (let tries = 0; existsSync(join(dataDir, 'postmaster.pid')) && tries < 1; tries++) rmSync(join(dataDir, 'postmaster.pid'));
    },
    start,
    remove: async () => {
      await end('SIGINT');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
