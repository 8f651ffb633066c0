import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ANYTHING, type EligibilityRules } from '../../../src/domain/eligibility.js';
import { matcherOf, parseFilter, type Filter } from '../../../src/domain/filter.js';
import type { Item, ItemFields } from '../../../src/domain/item.js';
import type { Catalogue } from '../../../src/retrieval/catalogue.js';
import { SearchEnded, type Candidate, type CandidateStream, type IndexChange, type Query, type Retrieval } from '../../../src/retrieval/retrieval.js';
import { registryOf } from '../../domain/registry-of.js';
import { recorded, type Members } from '../../store/conformance/suite.js';
import { fields } from '../../store/conformance/stores.js';
import { dot, unit } from '../tower.js';

export const TEMPERATURE = 0.1;
/** Of two dimensions and at most three embedded history items; the user tower adds the vectors up. */
export const MAX_HISTORY = 3;

export interface RetrievalEngine {
  name: string;
  open: (similarity: 'dot' | 'cosine') => { retrieval: Retrieval; catalogue: Catalogue };
}

const RETRIEVAL: Members<Retrieval> = { search: true, hydrate: true, find: true, vectors: true, apply: true, close: true };
const STREAM: Members<CandidateStream> = { next: true, upperBound: true, history: true, score: true, scoresWithout: true, timings: true };
const CATALOGUE: Members<Catalogue> = { status: true, countUnavailable: true, countWith: true, sample: true, random: true, all: true };

/** An engine whose calls are noted, with what the tests ask of it. */
interface Opened {
  retrieval: Retrieval;
  catalogue: Catalogue;
  put(itemId: string, vector: Float32Array | null, change?: Partial<ItemFields>): Promise<void>;
  itemOf(itemId: string): Promise<Item>;
  /** @throws when there is nothing to search by */
  search(query: Partial<Query>, count: number, rules?: EligibilityRules): Promise<CandidateStream>;
  idsOf(named: readonly { readonly index: number }[]): Promise<string[]>;
}

type Open = (similarity?: 'dot' | 'cosine') => Opened;

const QUERY: Query = { history: [], similarTo: null, disliked: [], exact: false, explain: false, scoresOthers: false, isLate: () => false };

/** Of this length, turned by so many degrees. */
const turned = (degrees: number, length = 1): Float32Array =>
  Float32Array.of(length * Math.cos((degrees * Math.PI) / 180), length * Math.sin((degrees * Math.PI) / 180));

const putOf = (itemId: string, vector: Float32Array | null, change: Partial<ItemFields> = {}): IndexChange => ({
  kind: 'put',
  fields: fields(itemId, change),
  created: 1,
  stored: vector && { vector, id_share: 0.25 },
});

const range = (count: number): string[] => Array.from({ length: count }, (_, n) => `v${n}`);

/** What every retrieval has to keep to. The last test fails when a member of a contract was called by no other. */
export function retrievalConformance(engine: RetrievalEngine): void {
  describe(`${engine.name}: retrieval`, () => {
    const called = { retrieval: new Set<string>(), stream: new Set<string>(), catalogue: new Set<string>() };
    const offered = { retrieval: new Set<string>(), stream: new Set<string>(), catalogue: new Set<string>() };
    const note = <Contract extends object>(name: keyof typeof called, part: Contract): Contract => {
      for (const key of Object.keys(part)) offered[name].add(key);
      return recorded(part, called[name]);
    };
    const open: Open = (similarity = 'cosine') => {
      const opened = engine.open(similarity);
      const { search } = opened.retrieval;
      const noted: Retrieval = {
        ...opened.retrieval,
        search: async (...asked) => {
          const stream = await search(...asked);
          return stream && note('stream', stream);
        },
      };
      return askable(note('retrieval', noted), note('catalogue', opened.catalogue));
    };
    tests((title, body) => void test(title, () => body(open)));
    test('every member of the contracts is called by a test, and the engine has no other', () => {
      const wanted = { retrieval: RETRIEVAL, stream: STREAM, catalogue: CATALOGUE };
      for (const name of ['retrieval', 'stream', 'catalogue'] as const) {
        assert.deepEqual([...offered[name]].sort(), Object.keys(wanted[name]).sort(), name);
        assert.deepEqual([...called[name]].sort(), Object.keys(wanted[name]).sort(), name);
      }
    });
  });
}

function askable(retrieval: Retrieval, catalogue: Catalogue): Opened {
  return {
    retrieval,
    catalogue,
    put: async (itemId, vector, change) => {
      await retrieval.apply([putOf(itemId, vector, change)]);
    },
    itemOf: async (itemId) => {
      const [item] = await retrieval.find([itemId]);
      assert.ok(item, itemId);
      return item;
    },
    search: async (query, count, rules = ANYTHING) => {
      const stream = await retrieval.search({ ...QUERY, ...query }, rules, count);
      assert.ok(stream);
      return stream;
    },
    idsOf: async (named) => (await retrieval.hydrate(named)).map((item) => item?.fields.item_id ?? 'gone'),
  };
}

/** All further candidates. */
async function rest(stream: CandidateStream, count: number, admits: Filter | null = null): Promise<Candidate[]> {
  const all: Candidate[] = [];
  for (;;) {
    const page = await stream.next(count, admits);
    assert.ok(page.length <= count);
    if (page.length === 0) return all;
    all.push(...page);
  }
}

/** Items v0, v1, … ever less like the hidden item `me`, which is the history. */
async function fan(opened: Opened, count: number, rest: (n: number) => Partial<ItemFields> = () => ({})): Promise<number[]> {
  const others = Array.from({ length: count }, (_, n) => putOf(`v${n}`, turned(n + 1), rest(n)));
  await opened.retrieval.apply([putOf('me', turned(0), { hidden: true }), ...others]);
  return [(await opened.itemOf('me')).index];
}

const AUTHOR = { builtIn: 'author_id' } as const;
const isClose = (a: number, b: number): boolean => Math.abs(a - b) < 1e-4;
const everyOther = (n: number): Partial<ItemFields> => ({ author_id: n % 2 === 0 ? 'even' : 'odd' });

function tests(behaves: (title: string, body: (open: Open) => Promise<void>) => void): void {
  behaves('there is nothing to search by when no item of the history has a vector', async (open) => {
    const { retrieval, put, itemOf } = open();
    await put('with', turned(0));
    await put('without', null);
    const { index } = await itemOf('without');
    for (const query of [{ history: [] }, { history: [index] }, { history: [123_456] }, { similarTo: index }, { similarTo: 123_456 }])
      assert.equal(await retrieval.search({ ...QUERY, ...query }, ANYTHING, 10), null, JSON.stringify(query));
  });

  behaves('an item that a request holds stays as it was read; who reads it anew gets what it is now', async (open) => {
    const { retrieval, put, itemOf } = open();
    await put('a', turned(0), { author_id: 'before' });
    const held = await itemOf('a');
    await retrieval.apply([{ kind: 'fields', fields: fields('a', { author_id: 'after' }) }]);
    const [hydrated] = await retrieval.hydrate([held]);
    const authors = [held, hydrated, await itemOf('a')].map((item) => item?.fields.author_id);
    assert.deepEqual(authors, ['before', 'after', 'after']);
  });

  behaves('candidates come by falling score, none twice, however they are asked for', async (open) => {
    const opened = open();
    const history = await fan(opened, 60);
    for (const count of [1, 2, 7, 59, 60, 61, 1000]) {
      const stream = await opened.search({ history }, count);
      const all = await rest(stream, count);
      assert.deepEqual(await opened.idsOf(all), range(60), String(count));
      const scores = all.map(({ score }) => score);
      assert.deepEqual(
        scores,
        scores.toSorted((a, b) => b - a),
      );
      assert.ok(isClose(scores[0] ?? 0, Math.cos(Math.PI / 180) / TEMPERATURE));
    }
  });

  behaves('a short first page is followed by all others, until there is nothing to come', async (open) => {
    const opened = open();
    const history = await fan(opened, 50);
    const stream = await opened.search({ history }, 3);
    const first = await stream.next(3, null);
    assert.equal(first.length, 3);
    const others = await rest(stream, 10);
    assert.deepEqual(await opened.idsOf([...first, ...others]), range(50));
    assert.equal(stream.upperBound(), -Infinity);
    assert.deepEqual(await stream.next(10, null), []);
  });

  behaves('the upper bound is never below what is still to come', async (open) => {
    const opened = open();
    const history = await fan(opened, 50);
    const stream = await opened.search({ history }, 4);
    const bounds: number[] = [stream.upperBound()];
    for (;;) {
      const page = await stream.next(4, null);
      if (page.length === 0) break;
      for (const { score } of page) for (const bound of bounds) assert.ok(bound >= score, `${bound} < ${score}`);
      bounds.push(stream.upperBound());
    }
    assert.equal(bounds.length, 14);
  });

  behaves('all that a filter lets through comes, however little that is', async (open) => {
    const opened = open();
    const history = await fan(opened, 60, (n) => ({ attributes: { rare: n % 20 === 19 } }));
    const parsed = parseFilter({ field: 'rare', eq: true }, '/filter', registryOf([{ rare: true }]));
    assert.ok(!Array.isArray(parsed));
    const matches = matcherOf(parsed.filter);
    const stream = await opened.search({ history }, 1, { ...ANYTHING, filter: { ...parsed, matches } });
    const items = await opened.retrieval.hydrate(await rest(stream, 5));
    const passing = items.flatMap((item) => (item !== undefined && matches(item) ? [item.fields.item_id] : []));
    assert.deepEqual(passing, ['v19', 'v39', 'v59']);
    assert.equal(stream.upperBound(), -Infinity);
  });

  behaves('what is seen, excluded or of the history takes no place from the others', async (open) => {
    const opened = open();
    await fan(opened, 30);
    const history = [(await opened.itemOf('v0')).index];
    const seen = new Map([[(await opened.itemOf('v1')).index, 1]]);
    const rules = { ...ANYTHING, seen, excludedIds: new Set(['v2']), excludesHistory: true };
    const stream = await opened.search({ history }, 5, rules);
    const ids = await opened.idsOf(await rest(stream, 5));
    assert.equal(new Set(ids).size, ids.length);
    assert.deepEqual(
      ids.filter((id) => !['v0', 'v1', 'v2'].includes(id)),
      range(30).slice(3),
    );
  });

  behaves('a wider search keeps to what the caps admit, and what it held back comes when they admit everything', async (open) => {
    const opened = open();
    const history = await fan(opened, 60, everyOther);
    const stream = await opened.search({ history }, 2);
    const first = await opened.idsOf(await stream.next(2, null));
    const admitted = await opened.idsOf(await rest(stream, 4, { not: { field: AUTHOR, in: ['even'], instants: [] } }));
    assert.deepEqual(
      admitted,
      range(60).filter((_, n) => n >= 2 && n % 2 === 1),
    );
    const heldBack = await opened.idsOf(await rest(stream, 4));
    assert.deepEqual([...first, ...admitted, ...heldBack].sort(), range(60).sort());
    assert.equal(stream.upperBound(), -Infinity);
  });

  behaves('around an item the score is the similarity itself, and there is no history', async (open) => {
    const opened = open();
    const [me = -1] = await fan(opened, 20);
    const { index } = await opened.itemOf('v9');
    const stream = await opened.search({ history: [me], similarTo: index }, 3);
    const [itself, ...others] = await rest(stream, 3);
    assert.equal(itself?.index, index);
    assert.ok(isClose(itself.score, 1));
    assert.ok(others.every(({ score }) => score < 1));
    assert.deepEqual(new Set((await opened.idsOf(others)).slice(0, 2)), new Set(['v8', 'v10']));
    assert.deepEqual(stream.history, []);
    assert.deepEqual(await stream.scoresWithout([await opened.itemOf('v9')]), [[]]);
  });

  behaves('the query moves away from disliked examples, of which unknown ones do not count', async (open) => {
    const opened = open();
    await opened.retrieval.apply([putOf('me', turned(0), { hidden: true }), putOf('left', turned(30)), putOf('right', turned(-31))]);
    const history = [(await opened.itemOf('me')).index];
    const { index: left } = await opened.itemOf('left');
    const order = async (disliked: number[]): Promise<string[]> => opened.idsOf(await rest(await opened.search({ history, disliked }, 2), 2));
    assert.deepEqual(await order([]), ['left', 'right']);
    assert.deepEqual(await order([123_456]), ['left', 'right']);
    assert.deepEqual(await order([left, 123_456]), ['right', 'left']);
    assert.deepEqual(await opened.idsOf(await rest(await opened.search({ similarTo: history[0] ?? -1, disliked: [left] }, 2), 2)), ['right', 'left']);
  });

  behaves('an exact search brings the same, and ends by itself', async (open) => {
    const opened = open();
    const history = await fan(opened, 40);
    const stream = await opened.search({ history, exact: true }, 5);
    assert.deepEqual(await opened.idsOf(await rest(stream, 5)), range(40));
  });

  behaves('the newest items of the history that have a vector are embedded, oldest first', async (open) => {
    const opened = open();
    await fan(opened, 10);
    await opened.put('bare', null);
    const indexes = (await opened.retrieval.find(['v1', 'bare', 'v2', 'v3', 'v4'])).flatMap((item) => item?.index ?? []);
    const stream = await opened.search({ history: indexes }, 5);
    assert.deepEqual(await opened.idsOf(stream.history.map((index) => ({ index }))), ['v3', 'v2', 'v1']);
  });

  behaves('items from elsewhere are scored by the same query, 0 without a vector', async (open) => {
    const opened = open();
    const history = await fan(opened, 10);
    await opened.put('bare', null);
    const stream = await opened.search({ history, scoresOthers: true }, 10);
    const candidates = await rest(stream, 10);
    const items = (await opened.retrieval.hydrate(candidates)).flatMap((item) => item ?? []);
    const scores = await stream.score([...items, await opened.itemOf('me'), await opened.itemOf('bare')]);
    candidates.forEach(({ score }, n) => assert.ok(isClose(score, scores[n] ?? 0)));
    assert.ok(isClose(scores[10] ?? 0, 1 / TEMPERATURE));
    assert.equal(scores[11], 0);
    assert.deepEqual(await stream.score([]), []);
  });

  behaves('an item has a score without each item of the history, and none for a history of one or without a vector', async (open) => {
    const opened = open();
    await opened.retrieval.apply([putOf('east', turned(0)), putOf('north', turned(90)), putOf('target', turned(10)), putOf('bare', null)]);
    const [east, north, target, bare] = await Promise.all(['east', 'north', 'target', 'bare'].map(opened.itemOf));
    assert.ok(east && north && target && bare);
    const stream = await opened.search({ history: [north.index, east.index], explain: true }, 5);
    const [less = [], none] = await stream.scoresWithout([target, bare]);
    assert.equal(less.length, 2);
    assert.ok(isClose(less[0] ?? 0, dot(turned(90), turned(10)) / TEMPERATURE), 'without the oldest, which is east');
    assert.ok(isClose(less[1] ?? 0, dot(turned(0), turned(10)) / TEMPERATURE));
    assert.deepEqual(none, []);
    const single = await opened.search({ history: [east.index], explain: true }, 5);
    assert.deepEqual(await single.scoresWithout([target]), [[]]);
  });

  behaves('items are found by id and by index, in the order asked for, as they are now', async (open) => {
    const { retrieval, put, itemOf } = open();
    await put('a', turned(0), { title: 'first' });
    await put('b', null);
    const a = await itemOf('a');
    assert.deepEqual([a.fields.title, a.created, a.idShare, (await itemOf('b')).idShare], ['first', 1, 0.25, null]);
    const found = await retrieval.find(['b', 'unknown', 'a', 'b']);
    assert.deepEqual(
      found.map((item) => item?.fields.item_id),
      ['b', undefined, 'a', 'b'],
    );
    await retrieval.apply([{ kind: 'fields', fields: fields('a', { title: 'second' }) }]);
    const [now, gone] = await retrieval.hydrate([a, { index: 123_456 }]);
    assert.deepEqual([now?.fields.title, now?.idShare, now?.created, gone], ['second', 0.25, 1, undefined]);
    await retrieval.apply([{ kind: 'delete', itemId: 'a' }]);
    assert.deepEqual(await retrieval.hydrate([a]), [undefined]);
    assert.deepEqual(await retrieval.find(['a']), [undefined]);
    assert.deepEqual([await retrieval.hydrate([]), await retrieval.find([])], [[], []]);
  });

  behaves('fields of an item that was never put are told as unknown, and a delete of one is not', async (open) => {
    const { retrieval, put } = open();
    await put('a', turned(0));
    const { unknown } = await retrieval.apply([
      { kind: 'fields', fields: fields('x') },
      { kind: 'fields', fields: fields('a') },
      { kind: 'delete', itemId: 'y' },
      { kind: 'delete', itemId: 'a' },
      { kind: 'fields', fields: fields('a') },
    ]);
    assert.deepEqual(unknown, ['x', 'a']);
    assert.deepEqual(await retrieval.find(['x', 'a']), [undefined, undefined]);
  });

  behaves('fields and deletions hold in the turn of the call', async (open) => {
    const { retrieval, put, itemOf } = open();
    await put('a', turned(0));
    await put('b', turned(0));
    const [a, b] = [await itemOf('a'), await itemOf('b')];
    const applied = retrieval.apply([
      { kind: 'fields', fields: fields('a', { hidden: true }) },
      { kind: 'delete', itemId: 'b' },
    ]);
    const found = retrieval.find(['a', 'b']);
    const hydrated = retrieval.hydrate([a, b]);
    for (const [hidden, gone] of [await found, await hydrated]) assert.deepEqual([hidden?.fields.hidden, gone], [true, undefined]);
    await applied;
  });

  behaves('an item that is put again moves to its new vector', async (open) => {
    const opened = open();
    const history = await fan(opened, 20);
    const { index } = await opened.itemOf('v19');
    await opened.put('v19', turned(0.5));
    const ids = await opened.idsOf(await rest(await opened.search({ history }, 5), 5));
    assert.deepEqual(ids, ['v19', ...range(19)]);
    assert.equal((await opened.itemOf('v19')).index, index);
    await opened.put('v19', null);
    assert.deepEqual(await opened.idsOf(await rest(await opened.search({ history }, 5), 5)), range(19));
  });

  behaves('no search finds what is deleted; put again it is found', async (open) => {
    const opened = open();
    const history = await fan(opened, 10);
    const all = async (): Promise<string[]> => opened.idsOf(await rest(await opened.search({ history }, 3), 3));
    await opened.retrieval.apply([{ kind: 'delete', itemId: 'v0' }]);
    assert.deepEqual(await all(), range(10).slice(1));
    await opened.put('v0', turned(9.5));
    assert.deepEqual(await all(), [...range(9).slice(1), 'v0', 'v9']);
  });

  behaves('changes of one call count in their order', async (open) => {
    const opened = open();
    const history = await fan(opened, 3);
    const many = Array.from({ length: 500 }, (_, n) => putOf(`w${n}`, turned(60 + n / 20)));
    const { unknown } = await opened.retrieval.apply([
      { kind: 'delete', itemId: 'v0' },
      putOf('v0', turned(50)),
      putOf('v1', turned(55), { title: 'put' }),
      { kind: 'fields', fields: fields('v1', { title: 'changed' }) },
      putOf('brief', turned(0)),
      { kind: 'delete', itemId: 'brief' },
      ...many,
      putOf('w7', turned(40)),
    ]);
    assert.deepEqual(unknown, []);
    const ids = await opened.idsOf(await rest(await opened.search({ history }, 100), 100));
    assert.deepEqual(ids.slice(0, 5), ['v2', 'w7', 'v0', 'v1', 'w0']);
    assert.equal(ids.length, 503);
    assert.equal((await opened.itemOf('v1')).fields.title, 'changed');
  });

  behaves('vectors come scaled as the similarity compares them, zeros where an item has none', async (open) => {
    for (const similarity of ['cosine', 'dot'] as const) {
      const { retrieval, put, itemOf } = open(similarity);
      await put('a', Float32Array.of(3, 4));
      await put('bare', null);
      const vectors = await retrieval.vectors([await itemOf('bare'), await itemOf('a'), await itemOf('bare')]);
      const expected = similarity === 'cosine' ? unit(Float32Array.of(3, 4)) : Float32Array.of(3, 4);
      assert.equal(vectors.length, 6);
      assert.deepEqual([...vectors.subarray(0, 2), ...vectors.subarray(4)], [0, 0, 0, 0]);
      assert.ok(isClose(vectors[2] ?? 0, expected[0] ?? 0) && isClose(vectors[3] ?? 0, expected[1] ?? 0));
      assert.equal((await retrieval.vectors([])).length, 0);
    }
  });

  behaves('by dot product longer vectors score more, by cosine they do not', async (open) => {
    const order = async (similarity: 'dot' | 'cosine'): Promise<string[]> => {
      const opened = open(similarity);
      await opened.retrieval.apply([putOf('me', turned(0), { hidden: true }), putOf('near', turned(5)), putOf('long', turned(20, 3))]);
      return opened.idsOf(await rest(await opened.search({ history: [(await opened.itemOf('me')).index] }, 5), 5));
    };
    assert.deepEqual(
      [await order('cosine'), await order('dot')],
      [
        ['near', 'long'],
        ['long', 'near'],
      ],
    );
  });

  behaves('a search that nobody waits for any more is not made', async (open) => {
    const opened = open();
    const history = await fan(opened, 10);
    await assert.rejects(opened.search({ history, isLate: () => true }, 5), SearchEnded);
  });

  behaves('the time that a stream has spent is told in numbers', async (open) => {
    const opened = open();
    const { timings } = await opened.search({ history: await fan(opened, 10) }, 5);
    assert.deepEqual(Object.keys(timings).sort(), ['queue', 'search', 'user_tower']);
    for (const spent of Object.values(timings)) assert.ok(Number.isFinite(spent) && spent >= 0);
  });

  behaves('a search that is on its way when the retrieval closes is answered', async (open) => {
    const opened = open();
    const history = await fan(opened, 10);
    const searching = opened.search({ history }, 5);
    await opened.retrieval.close();
    assert.deepEqual(await opened.idsOf(await (await searching).next(5, null)), range(5));
  });

  behaves('the catalogue counts items by state and by time', async (open) => {
    const { retrieval, catalogue, put } = open();
    const now = Date.now();
    await put('a', turned(0));
    await put('hidden', turned(0), { hidden: true, expires_at: 1 });
    await put('bare', null);
    await put('early', turned(0), { available_from: now + 3_600_000 });
    await put('late', turned(0), { expires_at: now - 1 });
    const states = { searchable: 3, pending_features: 1, stored: 0, hidden: 1 };
    const status = await catalogue.status();
    assert.deepEqual([status.size, status.states, status.findable, catalogue.all.size], [5, states, 1, 5]);
    assert.deepEqual(await catalogue.countUnavailable(now), { scheduled: 1, expired: 1 });
    await retrieval.apply([{ kind: 'delete', itemId: 'a' }]);
    assert.deepEqual([(await catalogue.status()).size, (await catalogue.status()).findable], [4, 0]);
    assert.deepEqual(Array.from(catalogue.all.items(), ({ fields: { item_id: id } }) => id).sort(), ['bare', 'early', 'hidden', 'late']);
  });

  behaves('items are counted by the attributes that they carry now', async (open) => {
    const { retrieval, catalogue, put } = open();
    await put('a', null, { attributes: { mixed: 1, tags: ['x'] } });
    await put('b', null, { attributes: { mixed: 'one' } });
    const counts = (): number[] => ['mixed', 'tags', 'none'].map((name) => catalogue.countWith(name));
    assert.deepEqual(counts(), [2, 1, 0]);
    await put('b', null, { attributes: { tags: [] } });
    assert.deepEqual(counts(), [1, 2, 0]);
    await retrieval.apply([{ kind: 'delete', itemId: 'a' }]);
    assert.deepEqual(counts(), [0, 1, 0]);
  });

  behaves('a sample is of servable items with a vector, each once, old and new ones', async (open) => {
    const opened = open();
    assert.deepEqual([await opened.catalogue.sample(5, Date.now()), await opened.catalogue.random()], [[], undefined]);
    await fan(opened, 100);
    await opened.put('bare', null);
    const drawn = (await opened.catalogue.sample(10, Date.now())).map(({ fields: { item_id: id } }) => Number(id.slice(1)));
    assert.ok(drawn.length >= 9 && drawn.length <= 10 && new Set(drawn).size === drawn.length && !drawn.includes(NaN));
    assert.ok(Math.min(...drawn) < 20 && Math.max(...drawn) >= 80);
    const random = await opened.catalogue.random();
    assert.ok(random !== undefined && random.idShare !== null);
  });
}
