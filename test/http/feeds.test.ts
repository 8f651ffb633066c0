import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '../../src/retrieval/embedded/schedule.js';
import { pino } from 'pino';
import { build, clip, demoStates, otherModel, temporaryFolder, view, type Built } from '../build.js';
import { withOtherNonce } from '../other-nonce.js';

interface Entry {
  item_id: string;
  score: number;
  reason: string;
  propensity?: number;
  explain?: { moved_by: string[]; layers?: number[] | null; history: { item_id: string; contribution: number }[] };
}
interface Answer {
  recommendation_id: string;
  items: Entry[];
  next_cursor: string | null;
  end_reason: string | null;
  fallback: string | null;
  short_reason: string | null;
  experiment?: { name: string; arm: string };
  exploration_seed?: number;
  sequence: number;
}

const CLIPS = 120;
const topicOf = (n: number): string => ['cooking', 'travel', 'sport', 'music'][n % 4] ?? '';
const ids = (answer: Answer): string[] => answer.items.map(({ item_id: id }) => id);
const numberOf = (id: string): number => Number(id.replace('clip-', ''));

describe('feeds', () => {
  const closers: (() => Promise<void> | void)[] = [];
  let built: Built;
  before(async () => {
    built = await build({ after: (close) => void closers.push(close as () => Promise<void>) }, { REELFUSE_EXPLORATION_BUDGET: '2' });
    const items = Array.from({ length: CLIPS }, (_, index) => {
      const n = index + 1;
      return {
        item_id: clip(n),
        author_id: `author-${n % 10}`,
        attributes: {
          topic: topicOf(n),
          duration_s: n,
          live: n % 2 === 0,
          tags: [`tag-${n % 3}`, `tag-${n % 5}`],
          published: `2026-10-${String((n % 28) + 1).padStart(2, '0')}T00:00:00Z`,
          ...(n <= 5 && { rare: 'yes' }),
        },
        hidden_states: demoStates(clip(n)),
      };
    });
    const answer = await built.app.inject({ method: 'POST', url: '/v1/items/batch', payload: { items } });
    assert.equal(answer.statusCode, 200, answer.body);
  });
  after(async () => {
    for (const close of closers.reverse()) await close();
  });

  const post = (url: string, payload: object) => built.app.inject({ method: 'POST', url, payload });
  const ask = async (payload: object): Promise<Answer> => {
    const answer = await post('/v1/recommendations', payload);
    assert.equal(answer.statusCode, 200, answer.body);
    return answer.json();
  };
  const history = [clip(101), clip(105), clip(110)];
  const events = (list: object[]) => post('/v1/events', { events: list });

  const filters: [string, object, (n: number) => boolean][] = [
    ['eq on a string', { field: 'topic', eq: 'travel' }, (n) => topicOf(n) === 'travel'],
    ['in', { field: 'topic', in: ['travel', 'music'] }, (n) => ['travel', 'music'].includes(topicOf(n))],
    ['eq on a member of a list', { field: 'attributes.tags', eq: 'tag-4' }, (n) => n % 5 === 4],
    ['a range of numbers', { field: 'duration_s', gte: 10, lt: 30 }, (n) => n >= 10 && n < 30],
    ['a boolean', { field: 'live', eq: true }, (n) => n % 2 === 0],
    ['a time', { field: 'published', gte: '2026-10-20T00:00:00Z' }, (n) => (n % 28) + 1 >= 20],
    ['exists', { field: 'rare', exists: true }, (n) => n <= 5],
    ['exists: false', { field: 'rare', exists: false }, (n) => n > 5],
    ['the author', { field: 'author_id', eq: 'author-3' }, (n) => n % 10 === 3],
    ['not', { not: { field: 'topic', eq: 'travel' } }, (n) => topicOf(n) !== 'travel'],
    [
      'all and any',
      { all: [{ field: 'duration_s', lte: 60 }, { any: [{ field: 'topic', eq: 'sport' }, { not: { field: 'live', eq: true } }] }] },
      (n) => n <= 60 && (topicOf(n) === 'sport' || n % 2 === 1),
    ],
  ];
  for (const [name, filter, passes] of filters) {
    test(`filter by ${name}: all that pass, by model and by fallback, and nothing else`, async () => {
      const expected = Array.from({ length: CLIPS }, (_, index) => index + 1).filter(passes);
      const byModel = await ask({ history, k: 200, filter });
      assert.deepEqual(
        ids(byModel)
          .map(numberOf)
          .sort((a, b) => a - b),
        expected.filter((n) => !history.includes(clip(n))),
      );
      assert.equal(byModel.short_reason, 'filter');
      const fallback = await ask({ user_id: 'stranger', k: 200, filter });
      assert.deepEqual(
        ids(fallback)
          .map(numberOf)
          .sort((a, b) => a - b),
        expected,
      );
      assert.equal((await ask({ history, k: 3, filter: { all: [filter] } })).items.length, Math.min(3, expected.length));
    });
  }

  const badFilters: [string, unknown, string][] = [
    ['an unknown attribute', { field: 'topik', eq: 'x' }, '/filter/field'],
    ['a wrong type', { field: 'topic', eq: 3 }, '/filter/eq'],
    ['a comparison of text', { all: [{ field: 'topic', gte: 3 }] }, '/filter/all/0/gte'],
    ['a malformed time', { field: 'published', gte: 'yesterday' }, '/filter/gte'],
    ['an unknown operator', { field: 'topic', like: 'x' }, '/filter/like'],
    ['no operator', { not: { field: 'topic' } }, '/filter/not'],
    ['an empty group', { any: [] }, '/filter/any'],
    ['two groups in one', { any: [{ field: 'live', eq: true }], not: { field: 'live', eq: true } }, '/filter'],
    ['a list in eq', { field: 'topic', eq: ['x'] }, '/filter/eq'],
    ['a value of in', { field: 'topic', in: ['travel', 7] }, '/filter/in/1'],
    ['too deep', Array.from({ length: 12 }).reduce<object>((inner) => ({ not: inner }), { field: 'live', eq: true }), '/filter' + '/not'.repeat(9)],
  ];
  for (const [name, filter, pointer] of badFilters) {
    test(`a filter with ${name} is refused at ${pointer}`, async () => {
      const answer = await post('/v1/recommendations', { history, filter });
      assert.equal(answer.statusCode, 422, answer.body);
      const { errors } = answer.json<{ errors: { pointer: string }[] }>();
      assert.deepEqual(
        errors.map((error) => error.pointer),
        [pointer],
      );
    });
  }

  const contradictions: [string, object, string][] = [
    ['more places for new items than the answer has', { k: 5, exploration: { slots: 6 } }, '/exploration/slots'],
    [
      'two pins at one position',
      {
        k: 5,
        pins: [
          { item_id: clip(1), position: 2 },
          { item_id: clip(2), position: 2 },
        ],
      },
      '/pins/1/position',
    ],
    ['a mix by an attribute that no item has', { fallback_mix_by: 'attributes.nothing' }, '/fallback_mix_by'],
    ['shares of layers for more than 50 items', { k: 51, explain: 'layers' }, '/explain'],
  ];
  for (const [name, wishes, pointer] of contradictions) {
    test(`${name}: refused at ${pointer}`, async () => {
      const answer = await post('/v1/recommendations', { history, ...wishes });
      assert.equal(answer.statusCode, 422, answer.body);
      assert.deepEqual(
        answer.json<{ errors: { pointer: string }[] }>().errors.map((error) => error.pointer),
        [pointer],
      );
    });
  }

  test('filters are bounded in size, all of a request together, and the largest can be replayed', async () => {
    const filterOf = (values: number) => ({ field: 'item_id', in: Array.from({ length: values }, (_, n) => `${n}`.padStart(125, 'x')) });
    const largest = await ask({ user_id: 'stranger', k: 1, filter: { not: filterOf(500) } });
    const replay = await built.app.inject(`/v1/recommendations/${largest.recommendation_id}`);
    assert.deepEqual(replay.json<{ request: object }>().request, { filter: { not: filterOf(500) } });
    const refused = async (wishes: object): Promise<string[]> => {
      const answer = await post('/v1/recommendations', { user_id: 'stranger', ...wishes });
      assert.equal(answer.statusCode, 422, answer.body);
      return answer.json<{ errors: { pointer: string }[] }>().errors.map(({ pointer }) => pointer);
    };
    assert.deepEqual(await refused({ filter: filterOf(520) }), ['/filter']);
    assert.deepEqual(await refused({ filter: filterOf(300), boosts: [{ filter: filterOf(300), factor: 2 }] }), ['/boosts/0/filter']);
    const deep = Array.from({ length: 100_000 }).reduce<string>((inner) => `{"not":${inner}}`, '{"field":"live","eq":true}');
    const answer = await built.app.inject({
      method: 'POST',
      url: '/v1/recommendations',
      payload: `{"user_id":"stranger","filter":${deep}}`,
      headers: { 'content-type': 'application/json' },
    });
    assert.equal(answer.statusCode, 422);
  });

  test('a filter follows what is put, patched, hidden and deleted', async () => {
    const filter = { field: 'topic', eq: 'brand-new' };
    const put = (id: string, topic: string) =>
      built.app.inject({ method: 'PUT', url: `/v1/items/${id}`, payload: { attributes: { topic }, hidden_states: demoStates(clip(300)) } });
    const patch = (payload: object) => built.app.inject({ method: 'PATCH', url: '/v1/items/n1', payload });
    const found = async (): Promise<string[]> => ids(await ask({ history, k: 10, filter })).sort();
    await put('n1', 'brand-new');
    assert.deepEqual(await found(), ['n1']);
    await put('n2', 'brand-new');
    assert.deepEqual(await found(), ['n1', 'n2']);
    await patch({ attributes: { topic: 'old' } });
    assert.deepEqual(await found(), ['n2']);
    await patch({ attributes: { topic: 'brand-new' }, hidden: true });
    assert.deepEqual(await found(), ['n2']);
    await patch({ hidden: false });
    assert.deepEqual(await found(), ['n1', 'n2']);
    await built.app.inject({ method: 'DELETE', url: '/v1/items/n1' });
    assert.deepEqual(await found(), ['n2']);
    await built.app.inject({ method: 'DELETE', url: '/v1/items/n2' });
    assert.equal((await post('/v1/recommendations', { history, filter })).json<{ code: string }>().code === 'invalid_request', false); // topic is still known
    assert.deepEqual(await found(), []);
  });

  test('pages of a cursor hold every item once, whatever is written between them; the last has no cursor', async () => {
    const seen: string[] = [];
    let cursor: string | null = null;
    for (let page = 0; ; page++) {
      const answer: Answer = await ask({ history, k: 25, ...(cursor !== null && { cursor }) });
      seen.push(...ids(answer));
      cursor = answer.next_cursor;
      assert.equal(answer.end_reason, cursor === null ? 'exhausted' : null);
      if (cursor === null) break;
      // a shown item gets another vector, and comes no second time
      await built.app.inject({
        method: 'PUT',
        url: `/v1/items/${seen[page]}`,
        payload: { hidden_states: demoStates(clip(400 + page)), attributes: { topic: 'moved' } },
      });
    }
    assert.equal(new Set(seen).size, seen.length);
    assert.equal(seen.length, CLIPS - history.length);
    for (let page = 0; page < 5; page++) {
      const n = numberOf(seen[page] ?? '');
      const attributes = { topic: topicOf(n), duration_s: n, live: n % 2 === 0, tags: [`tag-${n % 3}`, `tag-${n % 5}`] };
      await built.app.inject({
        method: 'PUT',
        url: `/v1/items/${clip(n)}`,
        payload: { author_id: `author-${n % 10}`, attributes, hidden_states: demoStates(clip(n)) },
      });
    }
  });

  test('a cursor that is forged, of another user or another filter is refused', async () => {
    const { next_cursor: cursor } = await ask({ user_id: 'pager', k: 5 });
    const refused = async (body: object): Promise<string> => {
      const answer = await post('/v1/recommendations', { k: 5, ...body });
      assert.equal(answer.statusCode, 422, answer.body);
      return answer.json<{ errors: { pointer: string; detail: string }[] }>().errors[0]?.detail ?? '';
    };
    const forged = `${cursor?.slice(0, -2)}AA`;
    assert.match(await refused({ user_id: 'pager', cursor: forged }), /not a cursor of this server/);
    assert.match(await refused({ user_id: 'other', cursor }), /belongs to another/);
    assert.match(await refused({ user_id: 'pager', filter: { field: 'live', eq: true }, cursor }), /belongs to another/);
  });

  test('max_per_author and caps hold, and say when they leave too few', async () => {
    const authors = async (body: object): Promise<Map<number, number>> => {
      const counts = new Map<number, number>();
      for (const id of ids(await ask(body))) counts.set(numberOf(id) % 10, (counts.get(numberOf(id) % 10) ?? 0) + 1);
      return counts;
    };
    for (const body of [{ history }, { user_id: 'stranger' }]) {
      const counts = await authors({ ...body, k: 20, max_per_author: 2 });
      assert.deepEqual(
        [...counts.values()],
        Array.from({ length: 10 }, () => 2),
      );
      const few = await ask({ ...body, k: 30, max_per_author: 2 });
      assert.deepEqual([few.items.length, few.short_reason], [20, 'caps']);
    }
    const topics = ids(await ask({ history, k: 4, caps: [{ field: 'topic', max: 1 }] })).map((id) => topicOf(numberOf(id)));
    assert.equal(new Set(topics).size, 4);
    const answer = await post('/v1/recommendations', { history, caps: [{ field: 'nothing', max: 1 }] });
    assert.deepEqual(answer.json<{ errors: { pointer: string }[] }>().errors[0]?.pointer, '/caps/0/field');
  });

  test('diversity makes a list less alike, and keeps the best first', async () => {
    const vectors = built.services.generation.catalogue;
    const likeness = (answer: Answer): number => {
      const units = ids(answer).map((id) => {
        const vector = vectors.table.vector(vectors.get(id)?.slot ?? -1);
        const norm = Math.hypot(...vector);
        return vector.map((value) => value / norm);
      });
      let sum = 0;
      let pairs = 0;
      units.forEach((a, i) =>
        units.slice(i + 1).forEach((b) => {
          sum += a.reduce((dot, value, at) => dot + value * (b[at] ?? 0), 0);
          pairs++;
        }),
      );
      return sum / pairs;
    };
    const [plain, some, much] = [
      await ask({ history, k: 10 }),
      await ask({ history, k: 10, diversity: 0.3 }),
      await ask({ history, k: 10, diversity: 0.9 }),
    ];
    assert.ok(likeness(some) <= likeness(plain));
    assert.ok(likeness(much) < likeness(plain));
    assert.equal(ids(much)[0], ids(plain)[0]);
    assert.deepEqual(ids(await ask({ history, k: 10, diversity: 0 })), ids(plain));
    const explained = await ask({ history, k: 10, diversity: 0.9, explain: true });
    assert.ok(explained.items.some(({ explain }) => explain?.moved_by.includes('diversity')));
  });

  test('a boost adds the logarithm of its factor, freshness fades, and both say so', async () => {
    const plain = await ask({ history, k: 200, exact: true });
    const boosted = await ask({ history, k: 200, exact: true, explain: true, boosts: [{ filter: { field: 'topic', eq: 'sport' }, factor: 20 }] });
    const expected = plain.items
      .map(({ item_id: id, score }) => ({ id, value: score + (topicOf(numberOf(id)) === 'sport' ? Math.log(20) : 0) }))
      .sort((a, b) => b.value - a.value)
      .map(({ id }) => id);
    assert.deepEqual(ids(boosted), expected);
    for (const { item_id: id, explain } of boosted.items) assert.equal(explain?.moved_by.includes('boost:0'), topicOf(numberOf(id)) === 'sport');
    const fresh = await ask({ history, k: 5, freshness: { half_life_hours: 1, factor: 3 }, explain: true });
    assert.ok(fresh.items.every(({ explain }) => explain?.moved_by.includes('freshness')));
    const down = await ask({ user_id: 'stranger', k: 20, boosts: [{ filter: { field: 'live', eq: true }, factor: 0.001 }] });
    assert.ok(ids(down).every((id) => numberOf(id) % 2 === 1));
    const bad = await post('/v1/recommendations', { history, boosts: [{ filter: { field: 'nope', eq: 1 }, factor: 2 }] });
    assert.equal(bad.json<{ errors: { pointer: string }[] }>().errors[0]?.pointer, '/boosts/0/filter/field');
  });

  test('rotation moves down what was shown, as often as it was shown', async () => {
    await events([view('r-0', 'rotator', clip(101)), view('r-1', 'rotator', clip(105))]);
    const [first = ''] = ids(await ask({ user_id: 'rotator', k: 1 }));
    const at = new Date().toISOString();
    await events([1, 2, 3].map((n) => ({ event_id: `imp-${n}`, user_id: 'rotator', item_id: first, type: 'impression', at })));
    assert.deepEqual(ids(await ask({ user_id: 'rotator', k: 1 })), [first]);
    const rotated = await ask({ user_id: 'rotator', k: 1, rotation: { window_hours: 1, factor: 0.001 } });
    assert.notDeepEqual(ids(rotated), [first]);
  });

  test('pins stand at their places, never hidden or excluded ones, and the rest moves', async () => {
    const plain = ids(await ask({ history, k: 10 }));
    const pins = [
      { item_id: clip(101), position: 1 }, // in the history: a pin overrides that
      { item_id: plain[9] ?? '', position: 3 },
    ];
    const pinned = await ask({ history, k: 10, pins, explain: true });
    assert.deepEqual(
      [ids(pinned)[0], ids(pinned)[2]],
      pins.map(({ item_id: id }) => id),
    );
    assert.equal(new Set(ids(pinned)).size, 10);
    assert.deepEqual(pinned.items[0]?.explain?.moved_by, ['pin']);
    assert.notEqual(pinned.items[0]?.score, 0);
    const excluded = await ask({ history, k: 10, pins: [{ item_id: clip(7), position: 1 }], exclude: [clip(7)] });
    assert.ok(!ids(excluded).includes(clip(7)));
    const late = await post('/v1/recommendations', { history, k: 3, pins: [{ item_id: clip(7), position: 4 }] });
    assert.equal(late.json<{ errors: { pointer: string }[] }>().errors[0]?.pointer, '/pins/0/position');
    const second = await ask({ history, k: 10, pins, cursor: pinned.next_cursor });
    assert.equal(ids(second).filter((id) => ids(pinned).includes(id)).length, 0);
  });

  test('min_score cuts the list and says so', async () => {
    const plain = await ask({ history, k: 50 });
    const limit = plain.items[9]?.score ?? 0;
    const cut = await ask({ history, k: 50, min_score: limit });
    assert.deepEqual([ids(cut), cut.short_reason], [ids(plain).slice(0, 10), 'min_score']);
  });

  test('exploration gives places to new items with their propensity, by seed, until the budget is used up', async () => {
    const body = { history, k: 10, exploration: { slots: 3, seed: 7 } };
    const first = await ask(body);
    const explored = first.items.filter(({ reason }) => reason === 'exploration');
    assert.equal(explored.length, 3);
    assert.equal(first.items.length, 10);
    assert.ok(explored.every(({ propensity }) => (propensity ?? 0) > 0 && (propensity ?? 1) < 0.1));
    assert.deepEqual(ids(await ask(body)), ids(first));
    assert.equal(first.exploration_seed, 7);
    assert.notDeepEqual(ids(await ask({ ...body, exploration: { slots: 3, seed: 8 } })), ids(first));
    const id = explored[0]?.item_id ?? '';
    await events([1, 2].map((n) => ({ ...view(`x-${n}`, `viewer-${n}`, id), type: 'impression' })));
    assert.ok(!ids({ ...(await ask(body)), items: (await ask(body)).items.filter(({ reason }) => reason === 'exploration') }).includes(id));
  });

  test('liked examples act as history, disliked ones push away, neither is returned', async () => {
    const liked = await ask({ liked: [clip(101)], k: 10 });
    assert.equal(liked.fallback, null);
    assert.deepEqual(ids(liked), ids(await ask({ history: [clip(101)], k: 10 })));
    const [nearest = ''] = ids(liked);
    const pushed = await ask({ liked: [clip(101)], disliked: [nearest], k: 50, exact: true });
    assert.ok(!ids(pushed).includes(nearest) && !ids(pushed).includes(clip(101)));
    assert.notDeepEqual(ids(pushed).slice(0, 9), ids(liked).slice(1));
  });

  test('with disliked examples a contribution is still what the score loses without that item', async () => {
    const body = { liked: [clip(101), clip(105), clip(110)], disliked: [clip(50)], k: 200, exact: true };
    const whole = await ask({ ...body, explain: true });
    const without = new Map((await ask({ ...body, without_history: [clip(105)] })).items.map(({ item_id: id, score }) => [id, score]));
    for (const { item_id: id, score, explain } of whole.items) {
      const contribution = explain?.history.find((entry) => entry.item_id === clip(105))?.contribution ?? NaN;
      assert.ok(Math.abs(contribution - (score - (without.get(id) ?? NaN))) < 1e-4, id);
    }
  });

  test('seen items come back when asked, or when the window has passed', async () => {
    await events([view('s-0', 'seer', clip(20), '2026-01-01T00:00:00Z'), view('s-1', 'seer', clip(21), new Date().toISOString())]);
    const shown = async (body: object): Promise<boolean[]> => {
      const found = ids(await ask({ user_id: 'seer', k: 200, ...body }));
      return [found.includes(clip(20)), found.includes(clip(21))];
    };
    assert.deepEqual(await shown({}), [false, false]);
    assert.deepEqual(await shown({ exclude_seen: false }), [true, true]);
    assert.deepEqual(await shown({ seen_window_hours: 24 }), [true, false]);
  });

  test('a watched clip does not come back, however much was skipped since', async () => {
    await events([view('far-0', 'zapper', clip(30), '2026-10-01T00:00:00Z')]);
    await events(Array.from({ length: 1000 }, (_, n) => ({ ...view(`far-skip-${n}`, 'zapper', `skipped-${n}`), type: 'skip' })));
    const answer = await ask({ user_id: 'zapper', k: 200 });
    assert.deepEqual([answer.fallback, ids(answer).includes(clip(30))], [null, false]);
    assert.equal(ids(await ask({ user_id: 'zapper', k: 1, exclude_seen: false }))[0], clip(30));
  });

  test('what was met is counted by clips, not by events', async () => {
    for (let n = 1; n <= 110; n += 10) {
      const skips = Array.from({ length: 100 }, (_, at) => ({ ...view(`many-${n}-${at}`, 'repeater', clip(n + Math.floor(at / 10))), type: 'skip' }));
      await events(skips);
    }
    const answer = await ask({ user_id: 'repeater', k: 200 });
    assert.ok(ids(answer).every((id) => numberOf(id) > 110));
  });

  test('a clip that was viewed, liked, shared and saved takes one place of the history', async () => {
    const { max_history: length } = built.services.generation.artifact.manifest;
    for (let n = 1; n <= length; n++) {
      const at = `2026-11-24T10:${String(n).padStart(2, '0')}:00Z`;
      await events(['view', 'like', 'share', 'save'].map((type) => ({ ...view(`fan-${n}-${type}`, 'fan', clip(n), at), type })));
    }
    const answer = await ask({ user_id: 'fan', k: 1, explain: true });
    assert.equal(answer.items[0]?.explain?.history.length, length);
  });

  test('without_history answers as if those items had never been watched', async () => {
    const without = await ask({ history, without_history: [clip(105)], k: 10 });
    const never = await ask({ history: [clip(101), clip(110)], exclude: [clip(105)], k: 10 });
    assert.deepEqual(ids(without), ids(never));
  });

  test('an explanation names the share of each layer, summing to one', async () => {
    const answer = await ask({ history, k: 2, explain: 'layers' });
    for (const { explain } of answer.items) {
      assert.equal(explain?.layers?.length, 7);
      assert.ok(Math.abs((explain?.layers ?? []).reduce((sum, share) => sum + share, 0) - 1) < 1e-6);
    }
  });

  test('shares of layers are left out when the deadline comes first, and refused in a batch', async () => {
    let release = (): void => undefined;
    const { fuser } = built.services.generation;
    const fuse = fuser.fuse;
    const busy = new Promise<void>((resolve) => (release = resolve));
    fuser.fuse = (item) => busy.then(() => fuse(item)); // ingest keeps the item tower busy
    try {
      const late = await ask({ user_id: 'stranger', k: 2, explain: 'layers', deadline_ms: 20 });
      assert.deepEqual(
        late.items.map(({ explain }) => explain?.layers),
        [null, null],
      );
    } finally {
      release();
      fuser.fuse = fuse;
    }
    const answer = await post('/v1/recommendations/batch', { requests: [{ history, k: 2, explain: 'layers' }] });
    const { results } = answer.json<{ results: { status: number; error?: { errors: { pointer: string }[] } }[] }>();
    assert.deepEqual([results[0]?.status, results[0]?.error?.errors[0]?.pointer], [422, '/explain']);
  });

  test('an experiment arm is stable by user, in proportion to the weights, and can be given', async () => {
    const experiment = { name: 'feed-1', arms: [{ name: 'a', weight: 3 }, { name: 'b' }] };
    const armOf = async (user: string) => (await ask({ user_id: user, k: 1, experiment })).experiment?.arm;
    const arms = await Promise.all(Array.from({ length: 200 }, (_, n) => armOf(`user-${n}`)));
    const share = arms.filter((arm) => arm === 'a').length / 200;
    assert.ok(share > 0.65 && share < 0.85, String(share));
    assert.deepEqual(await Promise.all(Array.from({ length: 20 }, (_, n) => armOf(`user-${n}`))), arms.slice(0, 20));
    assert.deepEqual((await ask({ user_id: 'x', k: 1, experiment: { name: 'e', arm: 'mine' } })).experiment, { name: 'e', arm: 'mine' });
    assert.equal((await post('/v1/recommendations', { user_id: 'x', experiment: { name: 'e' } })).statusCode, 422);
  });

  test('a replay tells what was served, by which model, with which scores and wishes, and names no user', async () => {
    const served = await ask({
      user_id: 'replayed-user',
      k: 5,
      diversity: 0.2,
      exploration: { slots: 1, seed: 3 },
      experiment: { name: 'e', arm: 'a' },
    });
    const answer = await built.app.inject(`/v1/recommendations/${served.recommendation_id}`);
    assert.equal(answer.statusCode, 200, answer.body);
    const replay = answer.json<Answer & { request: object; seed: number }>();
    assert.deepEqual(
      replay.items.map(({ item_id: id, score, reason }) => [id, score, reason]),
      served.items.map(({ item_id: id, score, reason }) => [id, score, reason]),
    );
    assert.deepEqual([replay.seed, replay.fallback, replay.experiment], [3, 'no_history', { name: 'e', arm: 'a' }]);
    assert.deepEqual(replay.request, { diversity: 0.2, exploration: { slots: 1, seed: 3 } });
    assert.ok(!answer.body.includes('replayed-user'));
    const wishes = {
      filter: { field: 'live', eq: true },
      exclude_seen: false,
      seen_window_hours: 5,
      caps: [{ field: 'topic', max: 3 }],
      boosts: [{ filter: { field: 'topic', eq: 'sport' }, factor: 2 }],
      freshness: { half_life_hours: 24, factor: 3 },
      rotation: { window_hours: 12, factor: 0.5 },
      pins: [{ item_id: clip(7), position: 1 }],
      min_score: -5,
      fallback_mix_by: 'topic',
      exact: true,
    };
    const body = { user_id: 'replayed-user', exclude: [clip(9)], liked: [clip(8)], k: 4, max_per_author: 2, ...wishes };
    const first = await ask(body);
    const second = await ask({ ...body, cursor: first.next_cursor });
    const replays = await Promise.all(
      [first, second].map(async ({ recommendation_id: id }) =>
        (await built.app.inject(`/v1/recommendations/${id}`)).json<{ request: object; offset: number }>(),
      ),
    );
    assert.deepEqual(
      replays.map(({ offset }) => offset),
      [0, 4],
    );
    for (const { request } of replays) assert.deepEqual(request, { ...wishes, max_per_author: 2 });
    const similar = (await post(`/v1/items/${clip(7)}/similar`, { k: 1 })).json<Answer>();
    const replayed = (await built.app.inject(`/v1/recommendations/${similar.recommendation_id}`)).json<{ request: object }>();
    assert.deepEqual(replayed.request, { similar_to: clip(7) });
    for (const id of ['rec_AAAA', 'nothing', withOtherNonce(served.recommendation_id)]) {
      assert.equal((await built.app.inject(`/v1/recommendations/${id}`)).json<{ code: string }>().code, 'recommendation_not_found');
    }
  });

  test('the quality report judges positive events by the answer that they name, by arm', async () => {
    const hits: [arm: string, rank: number][] = [
      ['a', 1],
      ['a', 3],
      ['a', 15],
      ['b', 2],
    ];
    for (const [n, [arm, rank]] of hits.entries()) {
      const served = await ask({ history, k: 20, experiment: { name: 'judged', arm } });
      const event = {
        ...view(`q-${n}`, 'judge', served.items[rank - 1]?.item_id ?? '', new Date().toISOString()),
        recommendation_id: served.recommendation_id,
      };
      await events([event, { ...view(`q-miss-${n}`, 'judge', 'elsewhere', new Date().toISOString()), recommendation_id: served.recommendation_id }]);
    }
    const report = (await built.app.inject('/v1/reports/quality?hours=1')).json<{
      groups: {
        experiment: string;
        arm: string;
        events: number;
        hr_at_10: { value: number; low: number; high: number };
        ndcg_at_10: { value: number };
      }[];
    }>();
    const [a, b] = ['a', 'b'].map((arm) => report.groups.find((group) => group.experiment === 'judged' && group.arm === arm));
    assert.deepEqual([a?.events, a?.hr_at_10.value, b?.events, b?.hr_at_10.value], [6, 2 / 6, 2, 0.5]);
    assert.ok(Math.abs((a?.ndcg_at_10.value ?? 0) - (1 + 0.5) / 6) < 1e-9);
    assert.ok((a?.hr_at_10.low ?? 1) < 2 / 6 && (a?.hr_at_10.high ?? 0) > 2 / 6);
  });

  test('a batch answers each request in order; a bad one does not spoil the others', async () => {
    const answer = await post('/v1/recommendations/batch', {
      requests: [
        { history, k: 3 },
        { history, k: 3, filter: { field: 'nope', eq: 1 } },
        { user_id: 'stranger', k: 2 },
      ],
    });
    assert.equal(answer.statusCode, 207);
    const { results } = answer.json<{ results: { status: number; answer?: Answer; error?: { code: string; errors: { pointer: string }[] } }[] }>();
    assert.deepEqual(
      results.map(({ status }) => status),
      [200, 422, 200],
    );
    assert.deepEqual(ids(results[0]?.answer as Answer), ids(await ask({ history, k: 3 })));
    assert.equal(results[1]?.error?.errors[0]?.pointer, '/filter/field');
    assert.equal(results[2]?.answer?.fallback, 'no_history');
    assert.equal((await post('/v1/recommendations/batch', { requests: [{ history, k: 'x' }] })).statusCode, 422);
  });

  test('similar items obey the same rules, and leave out what the named user has met', async () => {
    const similar = async (payload: object): Promise<Answer> => (await post(`/v1/items/${clip(40)}/similar`, payload)).json();
    const plain = ids(await similar({ k: 10 }));
    assert.ok(!plain.includes(clip(40)));
    const filtered = await similar({ k: 10, filter: { field: 'topic', eq: 'music' }, max_per_author: 1 });
    assert.ok(ids(filtered).every((id) => topicOf(numberOf(id)) === 'music'));
    await events([view('sim-1', 'browser', plain[0] ?? '')]);
    assert.ok(!ids(await similar({ k: 10, user_id: 'browser' })).includes(plain[0] ?? ''));
    const pages = [await similar({ k: 10 })];
    pages.push(await similar({ k: 10, cursor: pages[0]?.next_cursor }));
    assert.equal(new Set(pages.flatMap(ids)).size, 20);
  });

  test('at_least_sequence waits for a change that is on its way, and gives up on one that never comes', async () => {
    const { sequence } = (await built.app.inject('/v1/users/nobody/history')).json<{ sequence: number }>();
    const waiting = post('/v1/recommendations', { history, k: 1, at_least_sequence: sequence + 1 });
    await events([view('seq-1', 'sequencer', clip(1))]);
    assert.equal((await waiting).statusCode, 200);
    const never = await post('/v1/recommendations', { history, k: 1, at_least_sequence: sequence + 1000, deadline_ms: 20 });
    assert.deepEqual([never.statusCode, never.json<{ code: string }>().code], [503, 'sequence_not_reached']);
    assert.equal(never.headers['retry-after'], '1');
  });

  test('the sequence of an answer is no newer than the history that it was made from', async () => {
    await events([view('own-1', 'writer', clip(1))]);
    const { pool } = built.services.generation;
    const search = pool.search;
    pool.search = async (prepare) => {
      await events([view('own-2', 'writer', clip(2))]); // too late for this answer
      return search(prepare);
    };
    const before = built.services.store.sequence();
    try {
      assert.equal((await ask({ user_id: 'writer', k: 1 })).sequence, before);
    } finally {
      pool.search = search;
    }
    assert.equal((await ask({ user_id: 'writer', k: 1 })).sequence, before + 1);
  });

  test('a deadline that is near is answered by the fallback ranking', async () => {
    const answer = await ask({ history, k: 5, deadline_ms: 1 });
    assert.deepEqual([answer.fallback, answer.items.length], ['deadline', 5]);
    assert.equal((await ask({ history, k: 5, deadline_ms: 60_000 })).fallback, null);
  });

  test('a fallback answer takes turns between languages when asked', async () => {
    for (const field of ['topic', 'attributes.topic']) {
      const mixed = ids(await ask({ user_id: 'stranger', k: 4, fallback_mix_by: field })).map((id) => topicOf(numberOf(id)));
      assert.equal(new Set(mixed).size, 4);
    }
    const authors = ids(await ask({ user_id: 'stranger', k: 10, fallback_mix_by: 'author_id' })).map((id) => numberOf(id) % 10);
    assert.equal(new Set(authors).size, 10);
  });

  test('the query form takes filter, diversity and cursor', async () => {
    const filter = encodeURIComponent(JSON.stringify({ field: 'topic', eq: 'sport' }));
    const url = `/v1/users/stranger/recommendations?k=5&filter=${filter}&max_per_author=2`;
    const first = (await built.app.inject(url)).json<Answer>();
    const second = (await built.app.inject(`${url}&cursor=${first.next_cursor}`)).json<Answer>();
    assert.equal(new Set([...ids(first), ...ids(second)].map(numberOf)).size, 10);
    assert.ok([...ids(first), ...ids(second)].every((id) => topicOf(numberOf(id)) === 'sport'));
    assert.equal(
      (await built.app.inject('/v1/users/u/recommendations?filter=%7B')).json<{ errors: { pointer: string }[] }>().errors[0]?.pointer,
      '/query/filter',
    );
  });
});

test('a feed goes on over a restart and a swap without repeating an item, and what was served can still be replayed', async (t) => {
  const dataDir = temporaryFolder(t);
  const first = await build(t, { REELFUSE_DATA_DIR: dataDir });
  const items = Array.from({ length: 60 }, (_, n) => ({ item_id: clip(n + 1), hidden_states: demoStates(clip(n + 1)) }));
  await first.app.inject({ method: 'POST', url: '/v1/items/batch', payload: { items } });
  const page = async ({ app }: Built, cursor: string | null): Promise<Answer> =>
    (
      await app.inject({ method: 'POST', url: '/v1/recommendations', payload: { history: [clip(1)], k: 15, ...(cursor !== null && { cursor }) } })
    ).json();
  const one = await page(first, null);
  await first.stop();
  const second = await build(t, { REELFUSE_DATA_DIR: dataDir });
  const two = await page(second, one.next_cursor);
  const { fingerprint } = (await second.app.inject({ method: 'POST', url: '/v1/models', payload: { folder: await otherModel(t) } })).json<{
    fingerprint: string;
  }>();
  await second.app.inject({ method: 'POST', url: `/v1/models/${fingerprint}/activate` });
  await second.services.generations.idle();
  const three = await page(second, two.next_cursor);
  const four = await page(second, three.next_cursor);
  const all = [one, two, three, four].flatMap(ids);
  assert.deepEqual([all.length, new Set(all).size, four.next_cursor], [59, 59, null]);
  const replay = await second.app.inject(`/v1/recommendations/${one.recommendation_id}`);
  assert.deepEqual(ids(replay.json()), ids(one));
});

test('the log line of a request names its experiment arm, and that of a batch none', async (t) => {
  const lines: { msg: string; route: string; experiment?: string; arm?: string }[] = [];
  const { app, stop } = await build(t, {}, systemClock, {
    log: pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line) as (typeof lines)[0]) }),
  });
  const ask = (url: string, payload: object) => app.inject({ method: 'POST', url, payload });
  const request = { user_id: 'u', k: 1, experiment: { name: 'e', arm: 'a' } };
  await ask('/v1/recommendations', request);
  await ask('/v1/recommendations/batch', { requests: [request, { ...request, experiment: { name: 'f', arm: 'b' } }] });
  await stop();
  const labels = lines.filter(({ msg }) => msg === 'request').map(({ route, experiment, arm }) => [route, experiment, arm]);
  assert.deepEqual(labels, [
    ['/v1/recommendations', 'e', 'a'],
    ['/v1/recommendations/batch', undefined, undefined],
  ]);
});

test('a catalogue of look-alikes that were all replaced is served whole, though the graph has lost most of them', async (t) => {
  const { app } = await build(t);
  const items = Array.from({ length: 400 }, (_, n) => ({ item_id: `same-${n}`, hidden_states: demoStates(clip(n < 200 ? 1 : n)) }));
  for (let round = 0; round < 2; round++) await app.inject({ method: 'POST', url: '/v1/items/batch', payload: { items } });
  const ask = async (payload: object) => (await app.inject({ method: 'POST', url: '/v1/recommendations', payload })).json<Answer>();
  const answer = await ask({ history: ['same-0'], k: 500 });
  assert.deepEqual([answer.items.length, answer.short_reason], [399, 'catalogue_exhausted']);
  assert.equal((await ask({ history: ['same-0'], k: 120 })).items.length, 120);
});
