import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomStates, startServer, type Server } from './server.js';

interface Written {
  acknowledged: string | null;
  /** Sent, and not answered when the process was killed: may be there or not. */
  open: string | null;
}

const EVENTS_A_CALL = 10;

/**
 * kill -9 at random moments under load: --rounds 50. After each restart every acknowledged item and event must be
 * there, and none twice. Every fifth round the log also gets a torn tail; at the end its real tail is cut off, and a
 * small full disk is tried where tmpfs can be mounted.
 */
export async function crash(options: ReadonlyMap<string, number>): Promise<unknown> {
  const rounds = options.get('rounds') ?? 50;
  const folder = mkdtempSync(join(tmpdir(), 'reelfuse-crash-'));
  const dataDir = join(folder, 'data');
  const wal = join(dataDir, 'reelfuse.sqlite-wal');
  const items = new Map<string, Written>();
  const lost: string[] = [];
  let events = 0;
  let torn = 0;
  let tornSnapshots = 0;
  try {
    for (let round = 0; round < rounds; round++) {
      const server = await startServer(dataDir);
      const sent = await load(server, round, items, 50 + Math.random() * 700);
      if (round % 5 === 4 && existsSync(wal)) {
        appendFileSync(wal, Buffer.alloc(1 + Math.floor(Math.random() * 5000), 0xa5));
        torn++;
      }
      if (round % 5 === 2 && tearSnapshot(join(dataDir, 'snapshots'))) tornSnapshots++;
      const again = await startServer(dataDir);
      lost.push(...(await checkItems(again, items)), ...(await checkEvents(again, sent)));
      events += sent.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0);
      await again.end('SIGTERM');
      process.stderr.write(`\rround ${round + 1} of ${rounds}, ${items.size} items, ${events} events, ${lost.length} wrong`);
    }
    process.stderr.write('\n');
    const cut = await cutLog(dataDir, wal, items);
    const full = await fullDisk(folder);
    return {
      rounds,
      rounds_with_torn_log: torn,
      rounds_with_torn_snapshot: tornSnapshots,
      items: items.size,
      events_acknowledged: events,
      lost_or_doubled: lost,
      log_cut_off: cut,
      full_disk: full,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Cuts a random file of the newest snapshot. @returns false when there is none */
function tearSnapshot(folder: string): boolean {
  const newest = existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => !name.startsWith('.'))
        .sort()
        .at(-1)
    : undefined;
  if (newest === undefined) return false;
  const files = readdirSync(join(folder, newest));
  const file = join(folder, newest, files[Math.floor(Math.random() * files.length)] ?? '');
  truncateSync(file, Math.floor(statSync(file).size * Math.random()));
  return true;
}

interface Sent {
  userId: string;
  /** `at` of every event, unique within the user. */
  acknowledged: number[];
  open: number[];
}

/** Writers that run until the process is killed. */
async function load(server: Server, round: number, items: Map<string, Written>, ms: number): Promise<Sent[]> {
  let isDead = false;
  /** A step that has nothing left to do gives false. */
  const untilKilled = async (step: (n: number) => Promise<boolean>): Promise<void> => {
    for (let n = 0; !isDead; n++) {
      try {
        if (!(await step(n))) return;
      } catch {
        return; // the connection broke: the process is gone, and what was sent stays open
      }
    }
  };
  const itemWriter = (writer: number) =>
    untilKilled(async (n) => {
      const id = `item-${writer}-${n % 40}`;
      const item = items.get(id) ?? { acknowledged: null, open: null };
      items.set(id, item);
      item.open = `${round}-${n}`;
      const { status } = await server.call('PUT', `/v1/items/${id}${n % 3 === 0 ? '?wait=stored' : ''}`, {
        title: item.open,
        hidden_states: randomStates(),
      });
      if (status > 201) throw new Error(String(status));
      item.acknowledged = item.open;
      item.open = null;
      return true;
    });
  const sent = [0, 1, 2, 3].map((writer): Sent => ({ userId: `user-${round}-${writer}`, acknowledged: [], open: [] }));
  const eventWriter = (own: Sent) =>
    untilKilled(async (n) => {
      if (n * EVENTS_A_CALL >= 900) return false;
      own.open = Array.from({ length: EVENTS_A_CALL }, (_, position) => 1_700_000_000_000 + n * EVENTS_A_CALL + position);
      const { status } = await server.call('POST', '/v1/events', { events: eventsOf(own.userId, own.open) });
      if (status !== 200) throw new Error(String(status));
      own.acknowledged.push(...own.open);
      own.open = [];
      return true;
    });
  const snapshots = untilKilled(async () => {
    await server.call('POST', '/v1/snapshots');
    return true;
  });
  const writers = [snapshots, ...[0, 1, 2, 3].map(itemWriter), ...sent.map(eventWriter)];
  await new Promise((resolve) => setTimeout(resolve, ms));
  process.kill(server.pid, 'SIGKILL');
  isDead = true;
  await server.end('SIGKILL');
  await Promise.all(writers);
  return sent;
}

const eventsOf = (userId: string, times: readonly number[]) =>
  times.map((at) => ({ event_id: `${userId}-${at}`, user_id: userId, item_id: `item-0-${at % 40}`, type: 'like', at: new Date(at).toISOString() }));

async function checkItems(server: Server, items: Map<string, Written>): Promise<string[]> {
  const wrong: string[] = [];
  for (const [id, item] of items) {
    const { status, body } = await server.call('GET', `/v1/items/${id}`);
    const title = status === 404 ? null : (body.title as unknown as string | null);
    if (title !== item.acknowledged && title !== item.open) wrong.push(`${id} is ${title}, acknowledged ${item.acknowledged}, open ${item.open}`);
    else if (title !== null && body.state !== 'searchable') wrong.push(`${id} is ${String(body.state)}`);
    item.acknowledged = title; // what an unanswered write came to
    item.open = null;
  }
  return wrong;
}

/** Also sends the open call again: every event must then be there once. */
async function checkEvents(server: Server, sent: readonly Sent[]): Promise<string[]> {
  const wrong: string[] = [];
  for (const { userId, acknowledged, open } of sent) {
    if (open.length > 0) await server.call('POST', '/v1/events', { events: eventsOf(userId, open) });
    const { body } = await server.call('GET', `/v1/users/${userId}/history?limit=1000`);
    const found = (body.items as unknown as { at: string }[]).map(({ at }) => Date.parse(at)).sort();
    const expected = [...acknowledged, ...open].sort();
    if (JSON.stringify(found) !== JSON.stringify(expected)) wrong.push(`${userId} has ${found.length} events, expected ${expected.length}`);
  }
  return wrong;
}

/** A disk that lost acknowledged pages: the server must come back with a consistent state, whatever is gone. */
async function cutLog(dataDir: string, wal: string, items: Map<string, Written>): Promise<string> {
  const server = await startServer(dataDir);
  await load(server, 1_000_000, items, 500);
  if (!existsSync(wal) || statSync(wal).size < 20_000) return 'the log was empty';
  truncateSync(wal, statSync(wal).size - 10_000);
  const again = await startServer(dataDir);
  const { status } = await again.call('GET', '/v1/items?limit=1000');
  await again.end('SIGTERM');
  return `came back in ${again.startSeconds.toFixed(1)} s, items answered ${status}`;
}

async function fullDisk(folder: string): Promise<string> {
  const mount = join(folder, 'small');
  mkdirSync(mount);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', mount]).status !== 0) return 'not tried: tmpfs cannot be mounted here';
  try {
    const dataDir = join(mount, 'data');
    const server = await startServer(dataDir);
    let refused: string | null = null;
    let kept = 0;
    for (let n = 0; n < 5000 && refused === null; n++) {
      const { status, body } = await server.call('PUT', `/v1/items/full-${n}`, { title: 'x', hidden_states: randomStates() });
      if (status === 201) kept++;
      else refused = `${status} ${String(body.code)}`;
    }
    const { status: read } = await server.call('GET', '/v1/users/cooking-fan/recommendations');
    await server.end('SIGKILL');
    let restart: string;
    try {
      const again = await startServer(dataDir);
      restart = 'came back';
      await again.end('SIGTERM');
    } catch (error) {
      restart = `said ${String(error).slice(0, 160)}`;
    }
    spawnSync('mount', ['-o', 'remount,size=200m', mount]);
    const after = await startServer(dataDir);
    const last = await after.call('GET', `/v1/items/full-${kept - 1}`);
    const write = await after.call('PUT', '/v1/items/later', { title: 'x' });
    await after.end('SIGTERM');
    return `after ${kept} items: ${refused}, reads ${read}; restart on the full disk ${restart}; with space again: last item ${last.status}, write ${write.status}`;
  } finally {
    spawnSync('umount', [mount]);
  }
}
