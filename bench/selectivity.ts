import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fillStore } from './catalogue.js';
import { percentiles, startServer } from '../test/server-process.js';

const K = 20;
const USERS = 200;

const FILTERS: [share: string, filter: object | null][] = [
  ['100 %', null],
  ['10 %', { field: 'permille', lt: 100 }],
  ['1 %', { field: 'permille', lt: 10 }],
  ['0.1 %', { field: 'permille', eq: 7 }],
  ['0.01 %', { field: 'rank', lt: 10 }],
];

/** Filters that let ever fewer items through: recall against exact, items returned, latency. --items 100000 --requests 1000 */
export async function selectivity(options: ReadonlyMap<string, number>): Promise<unknown> {
  const items = options.get('items') ?? 100_000;
  const requests = options.get('requests') ?? 1000;
  const folder = mkdtempSync(join(tmpdir(), 'reelfuse-selectivity-'));
  const dataDir = join(folder, 'data');
  await fillStore(dataDir, items, USERS);
  const server = await startServer(dataDir, { REELFUSE_RECALL_CHECK_SECONDS: '0' });
  try {
    const ask = async (user: number, filter: object | null, exact: boolean): Promise<string[]> => {
      const { status, body } = await server.call('POST', '/v1/recommendations', {
        user_id: `user-${user}`,
        k: K,
        exact,
        ...(filter !== null && { filter }),
      });
      if (status !== 200) throw new Error(`answered ${status}: ${JSON.stringify(body)}`);
      return (body.items as unknown as { item_id: string }[]).map(({ item_id: id }) => id);
    };
    const rows = FILTERS.map(([share, filter]) => ({ share, filter, first: 0, times: [] as number[], recall: 0, returned: new Set<number>() }));
    for (const row of rows) {
      const sent = performance.now();
      await ask(0, row.filter, false); // compiles the bitmap
      row.first = performance.now() - sent;
      for (let user = 0; user < USERS; user++) {
        const truth = await ask(user, row.filter, true);
        const found = await ask(user, row.filter, false);
        row.recall += truth.filter((id) => found.includes(id)).length / truth.length / USERS;
        row.returned.add(found.length);
      }
    }
    for (let n = 0; n < requests; n++) {
      for (const row of rows) {
        const sent = performance.now();
        await ask(n % USERS, row.filter, false);
        row.times.push(performance.now() - sent);
      }
    }
    return {
      items,
      rows: rows.map(({ share, first, times, recall, returned }) => ({
        allowed: share,
        recall_at_20: Math.round(recall * 10_000) / 10_000,
        returned: [...returned].sort((a, b) => a - b),
        first_ms: Math.round(first * 10) / 10,
        ms: percentiles(times),
      })),
    };
  } finally {
    await server.end('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  }
}
