import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fillStore, itemId } from './catalogue.js';
import { mixedStates, percentiles, startServer, type Server } from '../test/server-process.js';

const USERS = 200;
const K = 20;
/** Items with hidden states; the others have ready-made vectors only. */
const LAYERED = 20;

/** What some wishes need of a user beforehand. */
interface User {
  id: string;
  /** Score at the tenth place of a plain answer. */
  tenth: number;
  cursor: string;
  /** Items of the history. */
  history: string[];
  sequence: number;
}

const post = (user: User, wish: object): Call => ({ path: '/v1/recommendations', body: { user_id: user.id, k: K, ...wish } });
interface Call {
  path: string;
  body: object;
}

const topic = (name: string): object => ({ field: 'topic', eq: name });
const ALL_OF_THEM = {
  filter: { field: 'topic', in: ['cooking', 'sport', 'music'] },
  diversity: 0.3,
  max_per_author: 2,
  boosts: [{ filter: topic('sport'), factor: 2 }],
  freshness: { half_life_hours: 24, factor: 2 },
  rotation: { window_hours: 24, factor: 0.5 },
  pins: [{ item_id: itemId(3), position: 1 }],
  exploration: { slots: 2 },
  fields: ['title'],
};
const ARMS = [
  { name: 'a', weight: 1 },
  { name: 'b', weight: 1 },
];

const FEATURES: Record<string, (user: User) => Call> = {
  nothing: (user) => post(user, {}),
  'filter (13 %)': (user) => post(user, { filter: topic('cooking') }),
  'exclude 100': (user) => post(user, { exclude: Array.from({ length: 100 }, (_, n) => itemId(n)) }),
  'exclude_seen: false': (user) => post(user, { exclude_seen: false }),
  seen_window_hours: (user) => post(user, { seen_window_hours: 24 }),
  'a second page': (user) => post(user, { cursor: user.cursor }),
  diversity: (user) => post(user, { diversity: 0.3 }),
  max_per_author: (user) => post(user, { max_per_author: 1 }),
  'caps on an attribute': (user) => post(user, { caps: [{ field: 'topic', max: 4 }] }),
  'a cap too tight for k': (user) => post(user, { caps: [{ field: 'topic', max: 1 }] }),
  boost: (user) => post(user, { boosts: [{ filter: topic('sport'), factor: 2 }] }),
  'boost by .001': (user) => post(user, { boosts: [{ filter: topic('sport'), factor: 0.001 }] }),
  freshness: (user) => post(user, { freshness: { half_life_hours: 24, factor: 2 } }),
  'rotation, 20 shown': (user) => post(user, { rotation: { window_hours: 24, factor: 0.5 } }),
  pins: (user) => post(user, { pins: [{ item_id: itemId(3), position: 1 }] }),
  'min_score, cuts to 10': (user) => post(user, { min_score: user.tenth }),
  exploration: (user) => post(user, { exploration: { slots: 2 } }),
  experiment: (user) => post(user, { experiment: { name: 'e', arms: ARMS } }),
  deadline_ms: (user) => post(user, { deadline_ms: 1000 }),
  at_least_sequence: (user) => post(user, { at_least_sequence: user.sequence }),
  fields: (user) => post(user, { fields: ['title', 'author_id', 'attributes.topic'] }),
  liked: (user) => post(user, { liked: [itemId(5), itemId(9)] }),
  disliked: (user) => post(user, { disliked: [itemId(5), itemId(9)] }),
  without_history: (user) => post(user, { without_history: user.history.slice(0, 3) }),
  'explain (50 × leave one out)': (user) => post(user, { explain: true }),
  'explain layers of 5': (user) => post(user, { filter: topic('layered'), k: 5, explain: 'layers' }),
  exact: (user) => post(user, { exact: true }),
  'k 500': (user) => post(user, { k: 500 }),
  'k 500, diversity': (user) => post(user, { k: 500, diversity: 0.3 }),
  'nine of them together': (user) => post(user, ALL_OF_THEM),
  similar: ({ history: [first = ''] }) => ({ path: `/v1/items/${first}/similar`, body: { k: K } }),
  'a batch of 10': (user) => ({
    path: '/v1/recommendations/batch',
    body: { requests: Array.from({ length: 10 }, () => ({ user_id: user.id, k: K })) },
  }),
  'a stranger': () => ({ path: '/v1/recommendations', body: { user_id: 'stranger', k: K } }),
  'a stranger, fallback_mix_by': () => ({ path: '/v1/recommendations', body: { user_id: 'stranger', k: K, fallback_mix_by: 'topic' } }),
};

/** Shows each user the first page, as impressions, and notes what the wishes need. */
async function prepare(server: Server): Promise<User[]> {
  for (let n = 0; n < LAYERED; n++) {
    const body = { attributes: { topic: 'layered' }, hidden_states: mixedStates() };
    const { status } = await server.call('PUT', `/v1/items/layered-${n}`, body);
    if (status !== 201) throw new Error(`an item was answered by ${status}`);
  }
  const users: User[] = [];
  for (let n = 0; n < USERS; n++) {
    const id = `user-${n}`;
    const { body } = await server.call('POST', '/v1/recommendations', { user_id: id, k: K });
    const { items, next_cursor: cursor } = body as unknown as { items: { item_id: string; score: number }[]; next_cursor: string };
    const at = new Date().toISOString();
    const events = items.map(({ item_id: shown }) => ({ event_id: `shown-${n}-${shown}`, user_id: id, item_id: shown, type: 'impression', at }));
    const sequence = Number((await server.call('POST', '/v1/events', { events })).body.sequence);
    const history = (await server.call('GET', `/v1/users/${id}/history`)).body.items as unknown as { item_id: string }[];
    users.push({ id, tenth: items[9]?.score ?? 0, cursor, history: history.map(({ item_id: watched }) => watched), sequence });
  }
  return users;
}

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
    const users = await prepare(server);
    const times = new Map(Object.keys(FEATURES).map((name): [string, number[]] => [name, []]));
    for (let n = -20; n < requests; n++) {
      for (const [name, wish] of shuffled(Object.entries(FEATURES))) {
        const { path, body: asked } = wish(users[Math.abs(n) % USERS] as User); // below USERS
        const sent = performance.now();
        const { status, body } = await server.call('POST', path, asked);
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
