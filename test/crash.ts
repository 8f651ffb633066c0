import { appendFileSync, existsSync, readFileSync, readdirSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import Database from 'better-sqlite3';
import { startServer, randomStates, type Server } from './server-process.js';
import { DEMO_ARTIFACT } from './build.js';

/** Null: there is no such item. */
type Contents = { title: string; mark: number | null } | null;

/** The writes of one item, by one writer, one after the other. */
interface Item {
  /** Acknowledged, oldest first; the first one is what an earlier round has left. */
  changes: { sequence: number; contents: Contents }[];
  /** Sent, and not answered when the process was killed: may be there or not. Undefined: nothing was. */
  open: Contents | undefined;
}

/** The events of one user; `at` is unique within the user. */
interface User {
  userId: string;
  calls: { sequence: number; times: number[] }[];
  open: number[];
}

const WRITERS = 4;
const ITEMS_A_WRITER = 20;
const EVENTS_A_CALL = 10;
const MAX_EVENTS_A_USER = 900;
const FIRST_TIME = 1_700_000_000_000;
const CUT_BYTES = 200_000;

export interface CrashTrial {
  /**
   * Writes items and events, kills the process with -9 once so many writes are acknowledged, starts it again and compares:
   * what was acknowledged must be there once, what was not may be.
   */
  round(killAfter: number, damage: 'none' | 'torn log' | 'torn snapshot'): Promise<void>;
  /**
   * A disk that lost acknowledged pages: the last bytes of the log are cut off. What is there afterwards must be the state
   * after some change, all of it and nothing later, and at least what was acknowledged before the cut.
   */
  cutLog(killAfter: number): Promise<{ acknowledged_up_to: number; there_up_to: number; at_least: number; writes_lost: number }>;
  /** What was not as it must be. */
  readonly wrong: readonly string[];
  readonly figures: Record<'rounds' | 'torn_logs' | 'torn_snapshots' | 'items_put' | 'items_patched' | 'items_deleted' | 'events', number>;
  close(): Promise<void>;
}

export async function openCrashTrial(dataDir: string): Promise<CrashTrial> {
  const wal = join(dataDir, 'reelfuse.sqlite-wal');
  const items = new Map<string, Item>();
  const wrong: string[] = [];
  const figures = { rounds: 0, torn_logs: 0, torn_snapshots: 0, items_put: 0, items_patched: 0, items_deleted: 0, events: 0 };
  const start = (): Promise<Server> => startServer(dataDir, { REELFUSE_MODEL_DIR: DEMO_ARTIFACT });
  let server = await start();
  let runs = 0;

  const acknowledged = (): number => figures.items_put + figures.items_patched + figures.items_deleted + figures.events / EVENTS_A_CALL;

  /** @throws when the connection breaks */
  const writeItem = async (id: string, run: number, n: number): Promise<void> => {
    const item = items.get(id) ?? { changes: [], open: undefined };
    items.set(id, item);
    const now = item.changes.at(-1)?.contents ?? null;
    const wait = n % 3 === 0 ? '?wait=stored' : '';
    const put = { title: `${run}-${n}`, mark: null };
    const [kind, next, call] =
      now === null || n % 2 === 0
        ? (['put', put, () => server.call('PUT', `/v1/items/${id}${wait}`, { title: put.title, hidden_states: randomStates() })] as const)
        : n % 5 === 1
          ? (['deleted', null, () => server.call('DELETE', `/v1/items/${id}`)] as const)
          : (['patched', { ...now, mark: n }, () => server.call('PATCH', `/v1/items/${id}${wait}`, { attributes: { mark: n } })] as const);
    item.open = next;
    const { status, body } = await call();
    if (status > 201) wrong.push(`${kind} of ${id} was answered ${status}`);
    item.changes.push({ sequence: Number(body.sequence), contents: next });
    item.open = undefined;
    figures[`items_${kind}`]++;
  };

  const writeEvents = async (user: User): Promise<void> => {
    const sent = user.calls.reduce((sum, { times }) => sum + times.length, 0);
    user.open = Array.from({ length: EVENTS_A_CALL }, (_, position) => FIRST_TIME + sent + position);
    const { status, body } = await server.call('POST', '/v1/events', { events: eventsOf(user.userId, user.open) });
    if (status !== 200) wrong.push(`events of ${user.userId} were answered ${status}`);
    user.calls.push({ sequence: Number(body.sequence), times: user.open });
    figures.events += user.open.length;
    user.open = [];
  };

  /** Writers that run until so many writes are acknowledged and the process is killed. */
  const writeUntilKilled = async (killAfter: number): Promise<User[]> => {
    const run = runs++;
    const end = acknowledged() + killAfter;
    let isDead = false;
    let isEnough: () => void = () => undefined;
    const enough = new Promise<void>((resolve) => {
      isEnough = resolve;
    });
    const repeat = async (step: (n: number) => Promise<void>, limit = Infinity): Promise<void> => {
      for (let n = 0; !isDead && n < limit; n++) {
        try {
          await step(n);
        } catch (error) {
          if (!isDead) throw error;
          return; // the process is gone, and what was sent stays open
        }
        if (acknowledged() >= end) isEnough();
      }
    };
    const users = Array.from({ length: WRITERS }, (_, writer): User => ({ userId: `user-${run}-${writer}`, calls: [], open: [] }));
    const writers = [
      repeat(async () => void (await server.call('POST', '/v1/snapshots'))),
      ...users.map((user) => repeat(() => writeEvents(user), MAX_EVENTS_A_USER / EVENTS_A_CALL)),
      ...users.map((_, writer) => repeat((n) => writeItem(`item-${writer}-${n % ITEMS_A_WRITER}`, run, n))),
    ];
    await Promise.race([enough, Promise.all(writers)]);
    isDead = true;
    await server.end('SIGKILL');
    await Promise.all(writers);
    return users;
  };

  /** @param upTo what came after this change is gone */
  const compareItems = async (upTo: number): Promise<void> => {
    const present: string[] = [];
    for (const [id, item] of items) {
      const { status, body } = await server.call('GET', `/v1/items/${id}`);
      const found: Contents =
        status === 404 ? null : { title: String(body.title), mark: (body.attributes as unknown as { mark?: number }).mark ?? null };
      const kept = item.changes.filter(({ sequence }) => sequence <= upTo);
      const allowed = [kept.at(-1)?.contents ?? null, ...(kept.length === item.changes.length && item.open !== undefined ? [item.open] : [])];
      if (!allowed.some((contents) => isDeepStrictEqual(contents, found)))
        wrong.push(`${id} is ${JSON.stringify(found)}, allowed is ${JSON.stringify(allowed)}`);
      if (found !== null) present.push(id);
      if (found !== null && body.state !== 'searchable') wrong.push(`${id} is ${String(body.state)}`);
      item.changes = [{ sequence: 0, contents: found }]; // what an unanswered write came to
      item.open = undefined;
    }
    const [watched, ...others] = present;
    if (watched === undefined) return;
    const { body } = await server.call('POST', '/v1/recommendations', { history: [watched], k: 500, exact: true });
    const served = (body.items as unknown as { item_id: string }[]).map(({ item_id: id }) => id).sort();
    if (!isDeepStrictEqual(served, others.sort()))
      wrong.push(`served are ${served.length} items, there are ${others.length} besides the watched one`);
  };

  /** Also sends the open call again, unless something is gone: every event must then be there once. */
  const compareEvents = async (users: readonly User[], upTo: number): Promise<void> => {
    for (const { userId, calls, open } of users) {
      if (open.length > 0 && upTo === Infinity) await server.call('POST', '/v1/events', { events: eventsOf(userId, open) });
      const { body } = await server.call('GET', `/v1/users/${userId}/history?limit=1000`);
      const found = (body.items as unknown as { at: string }[]).map(({ at }) => Date.parse(at)).sort();
      const kept = calls.filter(({ sequence }) => sequence <= upTo).flatMap(({ times }) => times);
      const allowed = upTo === Infinity ? [[...kept, ...open]] : [kept, [...kept, ...open]];
      if (!allowed.some((times) => isDeepStrictEqual(times, found))) wrong.push(`${userId} has ${found.length} events, expected ${kept.length}`);
    }
  };

  const newestSequence = async (): Promise<number> => Number((await server.call('GET', '/v1/users/nobody/history')).body.sequence);

  return {
    wrong,
    figures,
    round: async (killAfter, damage) => {
      const users = await writeUntilKilled(killAfter);
      if (damage === 'torn log' && existsSync(wal)) {
        appendFileSync(wal, Buffer.alloc(1 + (killAfter % 5000), 0xa5));
        figures.torn_logs++;
      }
      if (damage === 'torn snapshot' && tearSnapshot(join(dataDir, 'snapshots'), killAfter)) figures.torn_snapshots++;
      server = await start();
      await compareItems(Infinity);
      await compareEvents(users, Infinity);
      figures.rounds++;
    },
    cutLog: async (killAfter) => {
      await writeItem('item-before-the-cut', runs, 0);
      const atLeast = await newestSequence();
      const before = logOf(wal);
      const users = await writeUntilKilled(killAfter);
      const log = logOf(wal);
      // where the log began anew since, what was acknowledged before is in the database
      truncateSync(wal, Math.max(log.end - CUT_BYTES, log.salt === before.salt ? before.end : 0));
      server = await start();
      const thereUpTo = await newestSequence();
      const writes = [...[...items.values()].flatMap(({ changes }) => changes), ...users.flatMap(({ calls }) => calls)];
      const acknowledgedUpTo = Math.max(...writes.map(({ sequence }) => sequence));
      if (thereUpTo < atLeast) wrong.push(`the log was cut after change ${atLeast}, there is only ${thereUpTo}`);
      await compareItems(thereUpTo);
      await compareEvents(users, thereUpTo);
      wrong.push(...damagesOf(join(dataDir, 'reelfuse.sqlite')));
      const lost = writes.filter(({ sequence }) => sequence > thereUpTo).length;
      return { acknowledged_up_to: acknowledgedUpTo, there_up_to: thereUpTo, at_least: atLeast, writes_lost: lost };
    },
    close: () => server.end('SIGTERM'),
  };
}

const eventsOf = (userId: string, times: readonly number[]) =>
  times.map((at) => ({ event_id: `${userId}-${at}`, user_id: userId, item_id: `item-0-${at % 20}`, type: 'like', at: new Date(at).toISOString() }));

/** Cuts a file of the newest snapshot. @returns false when there is none */
function tearSnapshot(folder: string, choice: number): boolean {
  const newest = existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => !name.startsWith('.'))
        .sort()
        .at(-1)
    : undefined;
  if (newest === undefined) return false;
  const files = readdirSync(join(folder, newest)).sort();
  const file = join(folder, newest, files[choice % files.length] ?? '');
  truncateSync(file, Math.floor((statSync(file).size * (choice % 97)) / 97));
  return true;
}

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;

/** How far a recovery reads SQLite's log: frames that carry the salt of its header, up to the last that ends a commit. */
function logOf(wal: string): { salt: string; end: number } {
  const bytes = existsSync(wal) ? readFileSync(wal) : Buffer.alloc(0);
  if (bytes.length < HEADER_BYTES) return { salt: '', end: bytes.length };
  const frame = FRAME_HEADER_BYTES + bytes.readUInt32BE(8);
  const salt = bytes.toString('hex', 16, 24);
  let end = HEADER_BYTES;
  for (let at = HEADER_BYTES; at + frame <= bytes.length && bytes.toString('hex', at + 8, at + 16) === salt; at += frame) {
    if (bytes.readUInt32BE(at + 4) > 0) end = at + frame;
  }
  return { salt, end };
}

function damagesOf(file: string): string[] {
  const database = new Database(file, { readonly: true });
  try {
    const found = (database.pragma('integrity_check') as { integrity_check: string }[]).map(({ integrity_check: text }) => text);
    return found.filter((text) => text !== 'ok');
  } finally {
    database.close();
  }
}
