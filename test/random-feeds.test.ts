import assert from 'node:assert/strict';
import { test } from 'node:test';
import { messageOf } from '../src/errors.js';
import { build, clip, demoStates, otherModel, view } from './build.js';
import { randomOf } from './random.js';

interface Item {
  author: string;
  topic: string;
  duration: number;
  tags: string[];
  hidden: boolean;
  window: 'open' | 'future' | 'expired';
  hasVector: boolean;
}

interface Answer {
  items: { item_id: string; score: number; reason: string }[];
  next_cursor: string | null;
  fallback: string | null;
  short_reason: string | null;
  model: { fingerprint: string };
}

const ITEMS = 150;
const REQUESTS = 120;
const TOPICS = ['cooking', 'travel', 'sport'];
type Filter = Record<string, unknown>;

/** What the filter language says, written a second time. */
function passes(filter: Filter | null, item: Item): boolean {
  if (filter === null) return true;
  if ('all' in filter) return (filter.all as Filter[]).every((part) => passes(part, item));
  if ('any' in filter) return (filter.any as Filter[]).some((part) => passes(part, item));
  if ('not' in filter) return !passes(filter.not as Filter, item);
  const value = { topic: item.topic, duration_s: item.duration, tags: item.tags, author_id: item.author }[String(filter.field)];
  const holds = (wanted: unknown): boolean => (Array.isArray(value) ? value.includes(wanted as string) : value === wanted);
  if ('eq' in filter) return holds(filter.eq);
  if ('in' in filter) return (filter.in as unknown[]).some(holds);
  return Number(value) >= Number(filter.gte ?? -Infinity) && Number(value) < Number(filter.lt ?? Infinity);
}

for (const seed of [1, 2, 3]) {
  test(`whatever is asked for, an answer keeps its promises (seed ${seed})`, async (t) => {
    const random = randomOf(seed);
    const below = (limit: number): number => Math.floor(random() * limit);
    const chance = (share: number): boolean => random() < share;
    const pick = <Value>(values: readonly Value[]): Value => values[below(values.length)] as Value; // never asked of an empty list
    const { app, services } = await build(t);
    const call = (url: string, payload: object) => app.inject({ method: 'POST', url, payload });

    const items = new Map<string, Item>();
    const put = async (id: string): Promise<void> => {
      const item: Item = {
        author: `author-${below(12)}`,
        topic: pick(TOPICS),
        duration: below(100),
        tags: [`tag-${below(4)}`, `tag-${below(4)}`],
        hidden: chance(0.08),
        window: chance(0.9) ? 'open' : pick(['future', 'expired']),
        hasVector: id.startsWith('clip-') || chance(0.8),
      };
      const answer = await app.inject({
        method: 'PUT',
        url: `/v1/items/${id}`,
        payload: {
          author_id: item.author,
          attributes: { topic: item.topic, duration_s: item.duration, tags: item.tags },
          hidden: item.hidden,
          ...(item.window === 'future' && { available_from: '2999-01-01T00:00:00Z' }),
          ...(item.window === 'expired' && { expires_at: '2020-01-01T00:00:00Z' }),
          ...(item.hasVector && { hidden_states: demoStates(clip(1 + below(1000))) }),
        },
      });
      assert.ok(answer.statusCode < 300, answer.body);
      items.set(id, item);
    };
    const ids = Array.from({ length: ITEMS }, (_, n) => (n % 2 === 0 ? clip(n + 1) : `new-${n}`));
    for (const id of ids) await put(id);
    const models = [services.generation.artifact.fingerprint];
    models.push((await call('/v1/models', { folder: await otherModel(t) })).json<{ fingerprint: string }>().fingerprint);
    const seen = new Map<string, Set<string>>();

    const condition = (): Filter =>
      pick<() => Filter>([
        () => ({ field: 'topic', eq: pick(TOPICS) }),
        () => ({ field: 'topic', in: [pick(TOPICS), pick(TOPICS)] }),
        () => ({ field: 'duration_s', gte: below(100) }),
        () => ({ field: 'duration_s', gte: below(50), lt: 50 + below(50) }),
        () => ({ field: 'tags', eq: `tag-${below(4)}` }),
        () => ({ field: 'author_id', eq: `author-${below(12)}` }),
      ])();
    const filterOf = (depth: number): Filter => {
      if (depth === 0 || chance(0.4)) return condition();
      if (chance(0.3)) return { not: filterOf(depth - 1) };
      return { [pick(['all', 'any'])]: [filterOf(depth - 1), filterOf(depth - 1)] };
    };

    const askOnce = async (): Promise<void> => {
      const user = `user-${below(5)}`;
      const own = seen.get(user) ?? new Set<string>();
      const byUser = chance(0.5);
      const history = byUser && chance(0.5) ? [] : Array.from({ length: 1 + below(5) }, () => pick(ids));
      const filter = chance(0.6) ? filterOf(2) : null;
      const exclude = chance(0.4) ? [pick(ids), pick(ids)] : [];
      const k = 1 + below(30);
      const perAuthor = chance(0.3) ? 1 + below(3) : null;
      const pins = chance(0.3) ? [{ item_id: pick(ids), position: 1 + below(k) }] : [];
      const explorationSlots = chance(0.3) ? Math.min(k, 1 + below(3)) : 0;
      const minScore = chance(0.1);
      const body = {
        ...(byUser && { user_id: user }),
        ...(history.length > 0 && { history }),
        ...(filter !== null && { filter }),
        ...(perAuthor !== null && { max_per_author: perAuthor }),
        ...(pins.length > 0 && { pins }),
        ...(explorationSlots > 0 && { exploration: { slots: explorationSlots, seed: below(1000) } }),
        ...(minScore && { min_score: -1 + random() }),
        ...(chance(0.3) && { diversity: random() }),
        ...(chance(0.3) && { boosts: [{ filter: condition(), factor: 0.1 + 5 * random() }] }),
        ...(chance(0.2) && { freshness: { half_life_hours: 24, factor: 2 } }),
        ...(chance(0.2) && { rotation: { window_hours: 24, factor: 0.5 } }),
        ...(chance(0.2) && { explain: true }),
        ...(chance(0.3) && { exact: true }),
        exclude,
        k,
      };
      const isServed = (item: Item): boolean => !item.hidden && item.window === 'open';
      const shown = new Set<string>();
      let cursor: string | null = null;
      for (let page = 0; page < 3; page++) {
        const before = new Map(items);
        const response = await call('/v1/recommendations', { ...body, ...(cursor !== null && { cursor }) });
        assert.equal(response.statusCode, 200, response.body);
        const answer = response.json<Answer>();
        const got = answer.items.map(({ item_id: id }) => id);
        const withheld = new Set([...history, ...exclude, ...(byUser ? own : [])]);
        assert.ok(got.length <= k);
        assert.equal(new Set(got).size, got.length, 'no item twice');
        assert.ok(models.includes(answer.model.fingerprint));
        assert.ok(
          got.every((id) => !shown.has(id)),
          'no item of an earlier page',
        );
        const perAuthorCount = new Map<string, number>();
        for (const { item_id: id, reason } of answer.items) {
          const item = before.get(id);
          assert.ok(item !== undefined && isServed(item), `${id} is served`);
          assert.ok(!exclude.includes(id), `${id} is excluded`);
          if (reason === 'pinned') continue;
          assert.ok(!withheld.has(id), `${id} is withheld`);
          assert.ok(passes(filter, item), `${id} passes`);
          if (reason === 'exploration') continue;
          perAuthorCount.set(item.author, (perAuthorCount.get(item.author) ?? 0) + 1);
        }
        if (perAuthor !== null) assert.ok(Math.max(0, ...perAuthorCount.values()) <= perAuthor, 'author cap');
        const allowed = [...before].filter(
          ([id, item]) =>
            isServed(item) && !withheld.has(id) && !shown.has(id) && passes(filter, item) && (item.hasVector || answer.fallback !== null),
        );
        if (perAuthor === null && !minScore) assert.ok(got.length >= Math.min(k, allowed.length), `${got.length} of ${Math.min(k, allowed.length)}`);
        assert.equal(answer.short_reason === null, got.length === k);
        for (const id of got) shown.add(id);
        cursor = answer.next_cursor;
        if (cursor === null) break;
        // between the pages the catalogue and the model go on changing
        await put(pick(ids));
        if (chance(0.1)) await app.inject({ method: 'POST', url: `/v1/models/${pick(models)}/activate` });
      }
    };

    for (let request = 0; request < REQUESTS; request++) {
      try {
        await askOnce();
        if (chance(0.3)) await put(pick(ids));
        if (chance(0.3)) {
          const user = `user-${below(5)}`;
          const id = pick(ids);
          await call('/v1/events', { events: [view(`e-${seed}-${request}`, user, id)] });
          seen.set(user, (seen.get(user) ?? new Set()).add(id));
        }
      } catch (error) {
        throw new Error(`seed ${seed}, request ${request}: ${messageOf(error)}`, { cause: error });
      }
    }
    await services.generations.idle();
  });
}
