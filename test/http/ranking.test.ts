import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Recommendations } from '../../src/client/types.js';
import { bodyOf, idsOf, pointersOf } from '../api.js';
import { build, buildForSuite, clip, demoStates, view } from '../build.js';
import { HISTORY, numberOf, putTopics, topicOf } from './topic-catalogue.js';

describe('ranking', () => {
  const server = buildForSuite({ REELFUSE_EXPLORATION_BUDGET: '2' }, putTopics);
  const ask = (request: object): Promise<Recommendations> => bodyOf(server.api.recommend(request));

  test('max_per_author and caps hold, and say when they leave too few', async () => {
    const authors = async (body: object): Promise<Map<number, number>> => {
      const counts = new Map<number, number>();
      for (const id of idsOf(await ask(body))) counts.set(numberOf(id) % 10, (counts.get(numberOf(id) % 10) ?? 0) + 1);
      return counts;
    };
    for (const body of [{ history: HISTORY }, { user_id: 'stranger' }]) {
      const counts = await authors({ ...body, k: 20, max_per_author: 2 });
      assert.deepEqual(
        [...counts.values()],
        Array.from({ length: 10 }, () => 2),
      );
      const few = await ask({ ...body, k: 30, max_per_author: 2 });
      assert.deepEqual([few.items.length, few.short_reason], [20, 'caps']);
    }
    const topics = idsOf(await ask({ history: HISTORY, k: 4, caps: [{ field: 'topic', max: 1 }] })).map((id) => topicOf(numberOf(id)));
    assert.equal(new Set(topics).size, 4);
    const answer = await server.api.recommend({ history: HISTORY, caps: [{ field: 'nothing', max: 1 }] });
    assert.deepEqual(answer.problem.errors[0]?.pointer, '/caps/0/field');
  });

  test('diversity makes a list less alike, and keeps the best first', async () => {
    const { table } = server.services.generation;
    const likeness = (answer: Recommendations): number => {
      const units = idsOf(answer).map((id) => {
        const vector = table.slots.table.vector(table.find(id)?.slot ?? -1);
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
      await ask({ history: HISTORY, k: 10 }),
      await ask({ history: HISTORY, k: 10, diversity: 0.3 }),
      await ask({ history: HISTORY, k: 10, diversity: 0.9 }),
    ];
    assert.ok(likeness(some) <= likeness(plain));
    assert.ok(likeness(much) < likeness(plain));
    assert.equal(idsOf(much)[0], idsOf(plain)[0]);
    assert.deepEqual(idsOf(await ask({ history: HISTORY, k: 10, diversity: 0 })), idsOf(plain));
    const explained = await ask({ history: HISTORY, k: 10, diversity: 0.9, explain: true });
    assert.ok(explained.items.some(({ explain }) => explain?.moved_by.includes('diversity')));
  });

  test('a boost adds the logarithm of its factor, freshness fades, and both say so', async () => {
    const plain = await ask({ history: HISTORY, k: 200, exact: true });
    const boosted = await ask({
      history: HISTORY,
      k: 200,
      exact: true,
      explain: true,
      boosts: [{ filter: { field: 'topic', eq: 'sport' }, factor: 20 }],
    });
    const expected = plain.items
      .map(({ item_id: id, score }) => ({ id, value: score + (topicOf(numberOf(id)) === 'sport' ? Math.log(20) : 0) }))
      .sort((a, b) => b.value - a.value)
      .map(({ id }) => id);
    assert.deepEqual(idsOf(boosted), expected);
    for (const { item_id: id, explain } of boosted.items) assert.equal(explain?.moved_by.includes('boost:0'), topicOf(numberOf(id)) === 'sport');
    const fresh = await ask({ history: HISTORY, k: 5, freshness: { half_life_hours: 1, factor: 3 }, explain: true });
    assert.ok(fresh.items.every(({ explain }) => explain?.moved_by.includes('freshness')));
    const down = await ask({ user_id: 'stranger', k: 20, boosts: [{ filter: { field: 'live', eq: true }, factor: 0.001 }] });
    assert.ok(idsOf(down).every((id) => numberOf(id) % 2 === 1));
    const bad = await server.api.recommend({ history: HISTORY, boosts: [{ filter: { field: 'nope', eq: 1 }, factor: 2 }] });
    assert.equal(bad.problem.errors[0]?.pointer, '/boosts/0/filter/field');
  });

  test('rotation moves down what was shown, as often as it was shown', async () => {
    await server.api.sendEvents([view('r-0', 'rotator', clip(101)), view('r-1', 'rotator', clip(105))]);
    const [first = ''] = idsOf(await ask({ user_id: 'rotator', k: 1 }));
    const at = new Date().toISOString();
    await server.api.sendEvents([1, 2, 3].map((n) => ({ event_id: `imp-${n}`, user_id: 'rotator', item_id: first, type: 'impression', at })));
    assert.deepEqual(idsOf(await ask({ user_id: 'rotator', k: 1 })), [first]);
    const rotated = await ask({ user_id: 'rotator', k: 1, rotation: { window_hours: 1, factor: 0.001 } });
    assert.notDeepEqual(idsOf(rotated), [first]);
  });

  test('pins stand at their places, never hidden or excluded ones, and the rest moves', async () => {
    const plain = idsOf(await ask({ history: HISTORY, k: 10 }));
    const pins = [
      { item_id: clip(101), position: 1 }, // in the history: a pin overrides that
      { item_id: plain[9] ?? '', position: 3 },
    ];
    const pinned = await ask({ history: HISTORY, k: 10, pins, explain: true });
    assert.deepEqual(
      [idsOf(pinned)[0], idsOf(pinned)[2]],
      pins.map(({ item_id: id }) => id),
    );
    assert.equal(new Set(idsOf(pinned)).size, 10);
    assert.deepEqual(pinned.items[0]?.explain?.moved_by, ['pin']);
    assert.notEqual(pinned.items[0]?.score, 0);
    const excluded = await ask({ history: HISTORY, k: 10, pins: [{ item_id: clip(7), position: 1 }], exclude: [clip(7)] });
    assert.ok(!idsOf(excluded).includes(clip(7)));
    const late = await server.api.recommend({ history: HISTORY, k: 3, pins: [{ item_id: clip(7), position: 4 }] });
    assert.equal(late.problem.errors[0]?.pointer, '/pins/0/position');
    const second = await ask({ history: HISTORY, k: 10, pins, cursor: pinned.next_cursor });
    assert.equal(idsOf(second).filter((id) => idsOf(pinned).includes(id)).length, 0);
  });

  test('min_score cuts the list and says so', async () => {
    const plain = await ask({ history: HISTORY, k: 50 });
    const limit = plain.items[9]?.score ?? 0;
    const cut = await ask({ history: HISTORY, k: 50, min_score: limit });
    assert.deepEqual([idsOf(cut), cut.short_reason], [idsOf(plain).slice(0, 10), 'min_score']);
  });

  test('exploration gives places to new items with their propensity, by seed, until the budget is used up', async () => {
    const body = { history: HISTORY, k: 10, exploration: { slots: 3, seed: 7 } };
    const first = await ask(body);
    const explored = first.items.filter(({ reason }) => reason === 'exploration');
    assert.equal(explored.length, 3);
    assert.equal(first.items.length, 10);
    assert.ok(explored.every(({ propensity }) => (propensity ?? 0) > 0 && (propensity ?? 1) < 0.1));
    assert.deepEqual(idsOf(await ask(body)), idsOf(first));
    assert.equal(first.exploration_seed, 7);
    assert.notDeepEqual(idsOf(await ask({ ...body, exploration: { slots: 3, seed: 8 } })), idsOf(first));
    const id = explored[0]?.item_id ?? '';
    await server.api.sendEvents([1, 2].map((n) => ({ ...view(`x-${n}`, `viewer-${n}`, id), type: 'impression' })));
    assert.ok(!idsOf({ ...(await ask(body)), items: (await ask(body)).items.filter(({ reason }) => reason === 'exploration') }).includes(id));
  });

  test('a fallback answer takes turns between languages when asked', async () => {
    for (const field of ['topic', 'attributes.topic']) {
      const mixed = idsOf(await ask({ user_id: 'stranger', k: 4, fallback_mix_by: field })).map((id) => topicOf(numberOf(id)));
      assert.equal(new Set(mixed).size, 4);
    }
    const authors = idsOf(await ask({ user_id: 'stranger', k: 10, fallback_mix_by: 'author_id' })).map((id) => numberOf(id) % 10);
    assert.equal(new Set(authors).size, 10);
  });
});

test('a catalogue of look-alikes that were all replaced is served whole, though the graph has lost most of them', async (t) => {
  const { api } = await build(t);
  const items = Array.from({ length: 400 }, (_, n) => ({ item_id: `same-${n}`, hidden_states: demoStates(clip(n < 200 ? 1 : n)) }));
  for (let round = 0; round < 2; round++) await api.putItems(items);
  const ask = async (payload: object) => (await api.recommend(payload)).body;
  const answer = await ask({ history: ['same-0'], k: 500 });
  assert.deepEqual([answer.items.length, answer.short_reason], [399, 'catalogue_exhausted']);
  assert.equal((await ask({ history: ['same-0'], k: 120 })).items.length, 120);
});

test('re-uploads of a clip come once with near_duplicates, by history, similar items and over pages', async (t) => {
  const { api } = await build(t);
  await api.putItems(
    Array.from({ length: 30 }, (_, n) => ({
      item_id: `v${n % 10}-${Math.floor(n / 10)}`,
      attributes: { original: `v${n % 10}` },
      hidden_states: demoStates(clip((n % 10) + 1)),
    })),
  );
  const clips = ({ items }: { items: readonly { item_id: string }[] }): string[] => items.map(({ item_id: id }) => id.split('-')[0] ?? '').sort();
  const all = Array.from({ length: 10 }, (_, n) => `v${n}`);
  const without = await api.recommend({ history: ['v0-0'], k: 12, exclude_seen: false });
  assert.ok(new Set(clips(without.body)).size < 12);
  const answer = await api.recommend({ history: ['v0-0'], k: 12, near_duplicates: {} });
  assert.deepEqual([clips(answer.body), answer.body.short_reason], [all, 'near_duplicates']);
  const pages: string[] = [];
  for (let cursor: string | null | undefined; cursor !== null;) {
    const page = await api.recommend({ history: ['v0-0'], k: 4, near_duplicates: {}, ...(cursor !== undefined && { cursor }) });
    assert.equal(page.status, 200, page.text);
    pages.push(...clips(page.body));
    cursor = page.body.next_cursor;
  }
  assert.deepEqual(pages.sort(), all);
  const similar = await api.similarItems('v3-1', { k: 12, distinct_by: 'original' });
  assert.deepEqual([clips(similar.body), similar.body.short_reason], [all, 'caps']);
  assert.deepEqual(await pointersOf(api.recommend({ history: ['v0-0'], distinct_by: 'misspelt' })), [422, '/distinct_by']);
  assert.deepEqual(await pointersOf(api.recommend({ history: ['v0-0'], near_duplicates: { max_similarity: 2 } })), [
    422,
    '/near_duplicates/max_similarity',
  ]);
});
