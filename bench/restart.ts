import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mixedStates, percentiles, startServer, type Server } from '../test/server-process.js';
import { fillStore, itemId } from './catalogue.js';
import { atRate, recallOverHttp, residentMib } from './load.js';

const USERS = 200;
const SAMPLES = 100;

/** Start from the store against start from a snapshot, and what writing the snapshot does to reads and writes. --items 50000 */
export async function restart(options: ReadonlyMap<string, number>): Promise<unknown> {
  const items = options.get('items') ?? 50_000;
  const folder = mkdtempSync(join(tmpdir(), 'reelfuse-restart-'));
  const dataDir = join(folder, 'data');
  const environment = { REELFUSE_SNAPSHOT_MINUTES: '0', REELFUSE_RECOMMENDER_WORKERS: '1', REELFUSE_RECALL_CHECK_SECONDS: '0' };
  const samples = Array.from({ length: SAMPLES }, (_, n) => itemId(Math.floor((n * items) / SAMPLES)));
  try {
    await fillStore(dataDir, items, USERS);
    process.stderr.write(`${items} items are in the store\n`);
    const first = await startServer(dataDir, environment);
    const rebuilt = { seconds: first.startSeconds, rss_mib: residentMib(first.pid), recall: await recallOverHttp(first, samples) };
    process.stderr.write(`rebuilt: ${JSON.stringify(rebuilt)}\n`);
    // the first start writes a snapshot by itself
    while (((await first.call('GET', '/v1/snapshots')).body.snapshots as unknown as unknown[]).length === 0)
      await new Promise((resolve) => setTimeout(resolve, 200));
    const stalls = await underSnapshot(first);
    process.stderr.write(`snapshot under load: ${JSON.stringify(stalls)}\n`);
    await first.end('SIGKILL');
    const second = await startServer(dataDir, environment);
    const restored = { seconds: second.startSeconds, rss_mib: residentMib(second.pid), recall: await recallOverHttp(second, samples) };
    await second.end('SIGTERM');
    return { items, from_store: rebuilt, from_snapshot: restored, snapshot_under_load: stalls, snapshot_mib: snapshotMib(dataDir) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Reads at 100 a second and writes at 20 a second, for as long before the snapshot as during it. */
async function underSnapshot(server: Server): Promise<unknown> {
  const states = Array.from({ length: 20 }, mixedStates);
  const serve = async (goesOn: () => boolean) => {
    const reads = atRate(100, goesOn, (n) => server.call('GET', `/v1/users/user-${n % USERS}/recommendations?k=20`));
    const writes = atRate(20, goesOn, (n) => server.call('PUT', `/v1/items/written-${n}`, { hidden_states: states[n % states.length] }));
    return { read_ms: percentiles(await reads), write_ms: percentiles(await writes) };
  };
  const until = performance.now() + 5000;
  const before = await serve(() => performance.now() < until);
  let isDone = false;
  const started = performance.now();
  let seconds = 0;
  const written = server.call('POST', '/v1/snapshots').then(({ status }) => {
    if (status !== 201) throw new Error(`the snapshot answered ${status}`);
    isDone = true;
    seconds = (performance.now() - started) / 1000;
  });
  const during = await serve(() => !isDone);
  await written;
  return { seconds, before, during };
}

function snapshotMib(dataDir: string): number {
  const [name = ''] = readdirSync(join(dataDir, 'snapshots')).filter((entry) => !entry.startsWith('.'));
  const folder = join(dataDir, 'snapshots', name);
  return Math.round(readdirSync(folder).reduce((sum, file) => sum + statSync(join(folder, file)).size, 0) / 2 ** 20);
}
