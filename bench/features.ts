import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fillStore, itemId } from './catalogue.js';
import { percentiles, startServer } from './server.js';

const USERS = 200;

const FEATURES: Record<string, object> = {
  nothing: {},
  'filter (13 %)': { filter: { field: 'topic', eq: 'cooking' } },
  'exclude 100': { exclude: Array.from({ length: 100 }, (_, n) => itemId(n)) },
  diversity: { diversity: 0.3 },
  max_per_author: { max_per_author: 1 },
  'caps on an attribute': { caps: [{ field: 'topic', max: 4 }] },
  boost: { boosts: [{ filter: { field: 'topic', eq: 'sport' }, factor: 2 }] },
  freshness: { freshness: { half_life_hours: 24, factor: 2 } },
  rotation: { rotation: { window_hours: 24, factor: 0.5 } },
  pins: { pins: [{ item_id: itemId(3), position: 1 }] },
  min_score: { min_score: -1000 },
  exploration: { exploration: { slots: 2 } },
  experiment: {
    experiment: {
      name: 'e',
      arms: [
        { name: 'a', weight: 1 },
        { name: 'b', weight: 1 },
      ],
    },
  },
  deadline_ms: { deadline_ms: 1000 },
  fields: { fields: ['title', 'author_id', 'attributes.topic'] },
  disliked: { disliked: [itemId(5), itemId(9)] },
  explain: { explain: true },
  exact: { exact: true },
  'all of them': {
    filter: { field: 'topic', in: ['cooking', 'sport', 'music'] },
    diversity: 0.3,
    max_per_author: 2,
    boosts: [{ filter: { field: 'topic', eq: 'sport' }, factor: 2 }],
    freshness: { half_life_hours: 24, factor: 2 },
    rotation: { window_hours: 24, factor: 0.5 },
    pins: [{ item_id: itemId(3), position: 1 }],
    exploration: { slots: 2 },
    fields: ['title'],
  },
};

/** So that no wish always follows the same one. */
function shuffled<Value>(values: Value[]): Value[] {
  return values
    .map((value) => ({ value, key: Math.random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ value }) => value);
}

/** What each wish adds to a request, one request at a time, all in one run and taking turns. --items 20000 --requests 500 */
export async function features(options: ReadonlyMap<string, number>): Promise<unknown> {
  const items = options.get('items') ?? 20_000;
  const requests = options.get('requests') ?? 500;
  const folder = mkdtempSync(join(tmpdir(), 'reelfuse-features-'));
  const dataDir = join(folder, 'data');
  await fillStore(dataDir, items, USERS);
  const server = await startServer(dataDir, { REELFUSE_RECALL_CHECK_SECONDS: '0' });
  try {
    const times = new Map(Object.keys(FEATURES).map((name): [string, number[]] => [name, []]));
    for (let n = -20; n < requests; n++) {
      for (const [name, wish] of shuffled(Object.entries(FEATURES))) {
        const sent = performance.now();
        const { status, body } = await server.call('POST', '/v1/recommendations', { user_id: `user-${Math.abs(n) % USERS}`, k: 20, ...wish });
        if (status !== 200) throw new Error(`${name} answered ${status}: ${JSON.stringify(body)}`);
        if (n >= 0) times.get(name)?.push(performance.now() - sent);
      }
    }
    const plain = percentiles(times.get('nothing') ?? []).p50;
    return {
      items,
      rows: [...times].map(([name, values]) => {
        const { p50, p99 } = percentiles(values);
        return { wish: name, p50_ms: p50, p99_ms: p99, added_p50_ms: Math.round((p50 - plain) * 1000) / 1000 };
      }),
    };
  } finally {
    await server.end('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  }
}
