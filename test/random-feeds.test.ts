import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Recommendations } from '../src/client/types.js';
import { messageOf } from '../src/errors.js';
import { build, clip, demoStates, otherModel, view } from './build.js';
import { isLong } from './long.js';
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

/** What a user did with an item. */
interface Met {
  id: string;
  type: string;
  hoursAgo: number;
}

type Body = Record<string, unknown> & { k: number };

const ITEMS = 150;
const REQUESTS = 100;
const WINDOW_HOURS = 50;
const HOUR_MS = 3_600_000;
const TOPICS = ['cooking', 'travel', 'sport'];
type Filter = Record<string, unknown>;

const valuesOf = (item: Item, field: string): string[] =>
  field === 'author_id' ? [item.author] : field === 'tags' ? [...new Set(item.tags)] : [item.topic];

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

for (const seed of isLong ? [1, 2, 3] : [1]) {
  test(`whatever is asked for, an answer keeps its promises (seed ${seed})`, async (t) => {
    const random = randomOf(seed);
    const below = (limit: number): number => Math.floor(random() * limit);
    const chance = (share: number): boolean => random() < share;
    const pick = <Value>(values: readonly Value[]): Value => values[below(values.length)] as Value; // never asked of an empty list
    const some = <Value>(values: readonly Value[], most: number): Value[] => Array.from({ length: 1 + below(most) }, () => pick(values));
    const { api, services } = await build(t);
    const recommend = (near: string | null, request: object) => (near === null ? api.recommend(request) : api.similarItems(near, request));

    const items = new Map<string, Item>();
    let sequence = 0;
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
      const answer = await api.putItem(id, {
        author_id: item.author,
        attributes: { topic: item.topic, duration_s: item.duration, tags: item.tags },
        hidden: item.hidden,
        ...(item.window === 'future' && { available_from: '2999-01-01T00:00:00Z' }),
        ...(item.window === 'expired' && { expires_at: '2020-01-01T00:00:00Z' }),
        ...(item.hasVector && { hidden_states: demoStates(clip(1 + below(1000))) }),
      });
      assert.ok(answer.status < 300, answer.text);
      sequence = answer.body.sequence;
      items.set(id, item);
    };
    const remove = async (id: string): Promise<void> => {
      await api.deleteItem(id);
      items.delete(id);
    };
    const ids = Array.from({ length: ITEMS }, (_, n) => (n % 2 === 0 ? clip(n + 1) : `new-${n}`));
    for (const id of ids) await put(id);
    const models = [services.generations.current.artifact.fingerprint];
    models.push((await api.registerModel(await otherModel(t))).body.fingerprint);
    const met = new Map<string, Met[]>();
    const arms = new Map<string, string>();

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

    interface Wish {
      near: string | null;
      user: string | null;
      history: string[];
      liked: string[];
      disliked: string[];
      without: string[];
      exclude: string[];
      filter: Filter | null;
      caps: { field: string; max: number }[];
      pin: { item_id: string; position: number } | null;
      slots: number;
      minScore: number | null;
      seen: 'all' | 'window' | 'none';
      body: Body;
    }
    const who = (): Pick<Wish, 'near' | 'user' | 'history' | 'liked' | 'disliked' | 'without'> => {
      const nobody = { near: null, user: null, history: [], liked: [], disliked: [], without: [] };
      if (chance(0.15)) return { ...nobody, near: pick(ids), user: chance(0.5) ? `user-${below(5)}` : null };
      const user = chance(0.5) ? `user-${below(5)}` : null;
      const history = user !== null && chance(0.5) ? [] : some(ids, 5);
      return {
        ...nobody,
        user,
        history,
        liked: chance(0.2) ? some(ids, 2) : [],
        disliked: chance(0.2) ? some(ids, 2) : [],
        without: chance(0.2) ? some(history.length > 0 ? history : ids, 3) : [],
      };
    };
    const wishOf = (): Wish => {
      const asked = who();
      const { near, user, history, liked, disliked, without } = asked;
      const k = 1 + below(30);
      const perAuthor = chance(0.3) ? [{ field: 'author_id', max: 1 + below(3) }] : [];
      const others = chance(0.2) ? [{ field: pick(['topic', 'tags']), max: 1 + below(8) }] : [];
      const wish = {
        ...asked,
        exclude: chance(0.4) ? some(ids, 2) : [],
        filter: chance(0.6) ? filterOf(2) : null,
        caps: [...perAuthor, ...others],
        pin: chance(0.3) ? { item_id: pick(ids), position: 1 + below(k) } : null,
        slots: chance(0.3) ? Math.min(k, 1 + below(3)) : 0,
        minScore: chance(0.15) ? -1 + 8 * random() : null,
        seen: pick(['all', 'all', 'window', 'none'] as const),
      };
      const body: Body = {
        k,
        exclude: wish.exclude,
        ...(user !== null && { user_id: user }),
        ...(history.length > 0 && { history }),
        ...(liked.length > 0 && { liked }),
        ...(disliked.length > 0 && { disliked }),
        ...(without.length > 0 && { without_history: without }),
        ...(wish.filter !== null && { filter: wish.filter }),
        ...(perAuthor[0] !== undefined && { max_per_author: perAuthor[0].max }),
        ...(others.length > 0 && { caps: others }),
        ...(wish.pin !== null && { pins: [wish.pin] }),
        ...(wish.slots > 0 && { exploration: { slots: wish.slots, seed: below(1000) } }),
        ...(wish.minScore !== null && { min_score: wish.minScore }),
        ...(wish.seen === 'none' && { exclude_seen: false }),
        ...(wish.seen === 'window' && { seen_window_hours: WINDOW_HOURS }),
        ...(chance(0.3) && { diversity: random() }),
        ...(chance(0.3) && { boosts: [{ filter: condition(), factor: 0.1 + 5 * random() }] }),
        ...(chance(0.2) && { freshness: { half_life_hours: 24, factor: 2 } }),
        ...(chance(0.2) && { rotation: { window_hours: 24, factor: 0.5 } }),
        ...(chance(0.2) && { explain: true }),
        ...(chance(0.3) && { exact: true }),
        ...(chance(0.1) && { deadline_ms: pick([1, 60_000]) }),
        ...(chance(0.2) && { at_least_sequence: sequence }),
        ...(chance(0.2) && { experiment: { name: 'e', arms: [{ name: 'a' }, { name: 'b' }] } }),
        ...(near === null && chance(0.2) && { fallback_mix_by: pick(['topic', 'attributes.tags']) }),
      };
      return { ...wish, body };
    };

    const send = async ({ near }: Wish, body: Body): Promise<{ status: number; answer: Recommendations; text: string }> => {
      if (near === null && chance(0.2)) {
        const response = await api.recommendBatch([{ user_id: 'beside', k: 1 }, body]);
        const result = response.body.results[1];
        return { status: result?.status ?? 0, answer: result?.answer as Recommendations, text: response.text };
      }
      const response = await recommend(near, body);
      return { status: response.status, answer: response.body, text: response.text };
    };
    /** Scores of everything that the model can score for this user; by it min_score is judged. */
    const scoresOf = async ({ near, body }: Wish): Promise<Map<string, number>> => {
      const { user_id, history, liked, disliked, without_history } = body;
      const plain = { user_id, history, liked, disliked, without_history };
      const named = Object.fromEntries(Object.entries(near === null ? plain : {}).filter(([, value]) => value !== undefined));
      const answer = await recommend(near, { ...named, exclude_seen: false, exact: true, k: 500 });
      const { items: scored } = answer.status === 200 ? answer.body : { items: [] };
      return new Map(scored.map(({ item_id: id, score }) => [id, score]));
    };

    const isServed = (item: Item): boolean => !item.hidden && item.window === 'open';
    const withheldOf = ({ near, user, history, liked, disliked, exclude, seen }: Wish): Set<string> => {
      const own = (met.get(user ?? '') ?? []).filter(({ type, hoursAgo }) => type !== 'impression' && (seen === 'all' || hoursAgo < WINDOW_HOURS));
      return new Set([
        ...(near === null ? [] : [near]),
        ...history,
        ...liked,
        ...disliked,
        ...exclude,
        ...(seen === 'none' ? [] : own.map(({ id }) => id)),
      ]);
    };
    const fallbackOf = ({ near, user, history, liked, without }: Wish): string | null => {
      const stored = (met.get(user ?? '') ?? []).filter(({ type }) => type === 'view' || type === 'like').map(({ id }) => id);
      const named = [...history, ...liked, ...stored];
      if (near !== null || named.some((id) => !without.includes(id) && items.get(id)?.hasVector === true)) return null;
      return named.length === 0 ? 'no_history' : 'unknown_history';
    };

    /** Returns the cursor. */
    const checkPage = async (wish: Wish, cursor: string | null, shown: Set<string>): Promise<string | null> => {
      const { body, near, filter, caps, pin, slots, exclude, minScore } = wish;
      const { k } = body;
      const scores = minScore === null ? null : await scoresOf(wish);
      const { status, answer, text } = await send(wish, { ...body, ...(cursor !== null && { cursor }) });
      const target = near === null ? undefined : items.get(near);
      if (near !== null && target?.hasVector !== true) {
        assert.equal(status, target === undefined ? 404 : answer.fallback === 'deadline' ? 200 : 409, text);
        return null;
      }
      assert.equal(status, 200, text);
      if (answer.fallback !== 'deadline') assert.equal(answer.fallback, fallbackOf(wish));
      const got = answer.items.map(({ item_id: id }) => id);
      const withheld = withheldOf(wish);
      assert.ok(got.length <= k);
      assert.equal(new Set(got).size, got.length, 'no item twice');
      assert.ok(models.includes(answer.model.fingerprint));
      assert.ok(answer.sequence >= Number(body.at_least_sequence ?? 0));
      assert.ok(
        got.every((id) => !shown.has(id)),
        'no item of an earlier page',
      );
      if (body.experiment !== undefined && wish.user !== null) {
        const arm = answer.experiment?.arm ?? '';
        assert.equal(arms.get(wish.user) ?? arm, arm, 'a user keeps the arm');
        arms.set(wish.user, arm);
      }

      const counts = new Map<string, number>();
      for (const { item_id: id, reason, score } of answer.items) {
        const item = items.get(id);
        assert.ok(item !== undefined && isServed(item), `${id} is served`);
        assert.ok(!exclude.includes(id), `${id} is excluded`);
        if (reason === 'pinned') continue;
        assert.ok(!withheld.has(id), `${id} is withheld`);
        assert.ok(passes(filter, item), `${id} passes`);
        for (const { field } of caps)
          for (const value of valuesOf(item, field)) counts.set(`${field} ${value}`, (counts.get(`${field} ${value}`) ?? 0) + 1);
        if (minScore !== null && (reason === 'history' || reason === 'similar')) assert.ok(score >= minScore);
      }
      for (const { field, max } of caps) for (const [key, count] of counts) if (key.startsWith(`${field} `)) assert.ok(count <= max, `cap on ${key}`);

      const pinned = pin === null ? undefined : items.get(pin.item_id);
      const isPinned = pin !== null && pinned !== undefined && isServed(pinned) && !exclude.includes(pin.item_id) && !shown.has(pin.item_id);
      const pinnedAt = answer.items.findIndex(({ reason }) => reason === 'pinned');
      assert.equal(pinnedAt, isPinned ? Math.min(pin.position, got.length) - 1 : -1, 'the place of the pin');

      // what the ranking may choose from, and what it must
      const isRanked = (id: string, item: Item): boolean =>
        isServed(item) &&
        !withheld.has(id) &&
        !shown.has(id) &&
        passes(filter, item) &&
        (item.hasVector || answer.fallback !== null) &&
        !(isPinned && id === pin.item_id) &&
        (scores === null || answer.fallback !== null || (scores.get(id) ?? -Infinity) >= (minScore ?? 0));
      const allowed = [...items].filter(([id, item]) => isRanked(id, item));
      // HNSW may overlook an item, and is believed where what it has found scores too little already
      const isNear = [...(scores?.values() ?? [])].some((score) => Math.abs(score - (minScore ?? 0)) < 1e-3);
      const isLoose = minScore !== null && (isNear || body.exact !== true);
      if (got.length < k && !isLoose) {
        const left = allowed.filter(([id]) => !got.includes(id));
        const admitted = left.filter(([, item]) =>
          caps.every(({ field, max }) => valuesOf(item, field).every((value) => (counts.get(`${field} ${value}`) ?? 0) < max)),
        );
        assert.deepEqual(admitted, [], 'nothing more would have been allowed');
      }
      const [cap] = caps;
      if (caps.length < 2 && cap?.field !== 'tags' && !isLoose) {
        const groups = new Map<string, number>();
        for (const [, item] of allowed) {
          const key = cap === undefined ? '' : (valuesOf(item, cap.field)[0] ?? '');
          groups.set(key, Math.min((groups.get(key) ?? 0) + 1, cap?.max ?? Infinity));
        }
        const most = [...groups.values()].reduce((sum, count) => sum + count, 0) + (isPinned ? 1 : 0);
        if (most >= k || slots === 0) assert.equal(got.length, Math.min(k, most), 'as many as are allowed');
        else assert.ok(got.length >= most && got.length <= Math.min(k, most + slots), `${got.length} of ${most} and ${slots} new ones`);
      }
      assert.equal(answer.short_reason === null, got.length === k);
      const hasMore = answer.short_reason === null || answer.short_reason === 'caps';
      assert.deepEqual([answer.next_cursor === null, answer.end_reason], hasMore ? [false, null] : [true, 'exhausted']);
      for (const id of got) shown.add(id);
      return answer.next_cursor;
    };

    const askOnce = async (): Promise<void> => {
      const wish = wishOf();
      const shown = new Set<string>();
      let cursor: string | null = null;
      for (let page = 0; page < 3; page++) {
        cursor = await checkPage(wish, cursor, shown);
        if (cursor === null) break;
        // between the pages the catalogue and the model go on changing
        await put(pick(ids));
        if (chance(0.2)) await remove(pick(ids));
        if (chance(0.1)) await api.activateModel(pick(models));
      }
    };

    for (let request = 0; request < REQUESTS; request++) {
      try {
        await askOnce();
        if (chance(0.3)) await put(pick(ids));
        if (chance(0.1)) await remove(pick(ids));
        if (chance(0.3)) {
          const user = `user-${below(5)}`;
          const entry: Met = { id: pick(ids), type: pick(['view', 'view', 'like', 'skip', 'impression']), hoursAgo: pick([0, 10, 100]) };
          const at = new Date(Date.now() - entry.hoursAgo * HOUR_MS).toISOString();
          const posted = await api.sendEvents([{ ...view(`e-${seed}-${request}`, user, entry.id, at), type: entry.type }]);
          sequence = posted.body.sequence;
          met.set(user, [...(met.get(user) ?? []), entry]);
        }
      } catch (error) {
        throw new Error(`seed ${seed}, request ${request}: ${messageOf(error)}`, { cause: error });
      }
    }
    await services.generations.idle();
  });
}
