import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clusteredVectors, itemId } from './catalogue.js';
import { atRate, ownMib, recallOverHttp, residentMib } from './load.js';
import { mixedStates, percentiles, startServer } from '../test/server-process.js';

const CHUNK = 500;
const SAMPLES = 200;

const MIN_RECALL = 0.98;
/** Mean memory of the later rounds against that of the earlier ones; collections now and then move it by half as much. */
const MAX_GROWTH = 1.1;

/**
 * Half of the catalogue replaced, in random order and under queries, several times over, and at last deleted: recall,
 * latency and memory after each. Exits with 1 when recall falls below .98, when a request fails, or when memory goes on
 * growing from round to round. --items 50000 --rate 100 --rounds 6
 */
export async function churn(options: ReadonlyMap<string, number>): Promise<unknown> {
  const items = options.get('items') ?? 50_000;
  const rate = options.get('rate') ?? 100;
  const rounds = options.get('rounds') ?? 6;
  const folder = mkdtempSync(join(tmpdir(), 'reelfuse-churn-'));
  const server = await startServer(join(folder, 'data'), {
    REELFUSE_RECALL_CHECK_SECONDS: '0',
    REELFUSE_USER_TOWER_PRECISION: 'float32', // the recall is to be the graph's alone
  });
  const { random } = clusteredVectors(1, 7);
  const half = (): string[] => {
    const ids = Array.from({ length: items }, (_, n) => itemId(n));
    for (let at = ids.length - 1; at > 0; at--) {
      const other = Math.floor(random() * (at + 1));
      [ids[at], ids[other]] = [ids[other] as string, ids[at] as string]; // both within the list
    }
    return ids.slice(0, items >> 1);
  };
  const gone = new Set<string>();
  const measure = async () => {
    const samples: string[] = [];
    while (samples.length < SAMPLES) {
      const id = itemId(Math.floor(random() * items));
      if (!gone.has(id)) samples.push(id);
    }
    return { recall_at_20: await recallOverHttp(server, samples), own_mib: ownMib(server.pid), rss_mib: residentMib(server.pid) };
  };
  const put = async (ids: readonly string[]): Promise<void> => {
    for (let first = 0; first < ids.length; first += CHUNK) {
      const rows = ids.slice(first, first + CHUNK).map((id) => JSON.stringify({ item_id: id, hidden_states: mixedStates() }));
      const { status } = await server.call('POST', '/v1/items/batch', rows.join('\n'), 'application/x-ndjson');
      if (status !== 200) throw new Error(`batch answered ${status}`);
    }
  };
  const remove = async (ids: readonly string[]): Promise<void> => {
    for (let first = 0; first < ids.length; first += 32) {
      await Promise.all(ids.slice(first, first + 32).map((id) => server.call('DELETE', `/v1/items/${id}`)));
    }
    for (const id of ids) gone.add(id);
  };
  let failed = 0;
  const underQueries = async (work: Promise<void>) => {
    let isDone = false;
    const started = performance.now();
    const end = (): void => {
      isDone = true;
    };
    work.then(end, end);
    const times = await atRate(
      rate,
      () => !isDone,
      async () => {
        const { status, body } = await server.call('GET', '/v1/users/cooking-fan/recommendations?k=20');
        if (status !== 200 || (body.items as unknown as unknown[]).length !== 20) failed++;
      },
    );
    await work;
    return { seconds: Math.round((performance.now() - started) / 100) / 10, query_ms: percentiles(times), ...(await measure()) };
  };
  try {
    await put(Array.from({ length: items }, (_, n) => itemId(n)));
    const before = await measure();
    const replaced: Awaited<ReturnType<typeof underQueries>>[] = [];
    for (let round = 0; round < rounds; round++) replaced.push(await underQueries(put(half())));
    const deleted = await underQueries(remove(half()));
    const worst = Math.min(...[before, ...replaced, deleted].map(({ recall_at_20: recall }) => recall));
    const middle = rounds >> 1;
    const growth = Math.round((meanMib(replaced.slice(middle)) / meanMib(replaced.slice(0, middle))) * 100) / 100;
    const failures = [
      ...(failed > 0 ? ['answers failed or were short'] : []),
      ...(worst < MIN_RECALL ? [`recall fell to ${worst}`] : []),
      ...(growth > MAX_GROWTH ? [`memory went on growing: later rounds had ${growth} × that of the earlier ones`] : []),
    ];
    if (failures.length > 0) process.exitCode = 1;
    return { items, rate, before, half_replaced: replaced, half_deleted: deleted, growth, failed_or_short: failed, failures };
  } finally {
    await server.end('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  }
}

const meanMib = (rounds: readonly { own_mib: number }[]): number => rounds.reduce((sum, { own_mib: mib }) => sum + mib, 0) / rounds.length;
