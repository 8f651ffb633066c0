import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TypedApp } from '../../src/http/typed-app.js';
import type { Receipt } from '../../src/ingest/acknowledgement.js';
import { build, clip, demoStates, putClips } from '../build.js';

const patch = (app: TypedApp, itemId: string, payload: object, headers: Record<string, string> = {}) =>
  app.inject({ method: 'PATCH', url: `/v1/items/${itemId}`, payload, headers });
const get = async (app: TypedApp, itemId: string) => (await app.inject(`/v1/items/${itemId}`)).json<Record<string, unknown>>();
const scores = async (app: TypedApp) => {
  const payload = { history: [clip(1)], k: 50, exact: true };
  const answer = await app.inject({ method: 'POST', url: '/v1/recommendations', payload });
  const { items } = answer.json<{ items: { item_id: string; score: number }[] }>();
  return new Map(items.map(({ item_id: itemId, score }) => [itemId, score]));
};

test('a patch changes what it names, keeps the rest and the vector', async (t) => {
  const { app } = await build(t);
  await putClips(app, 10);
  const before = await scores(app);
  await patch(app, clip(2), { attributes: { topic: 'cooking', duration_s: 20 }, available_from: '2026-01-01T00:00:00Z' });
  const answer = await patch(app, clip(2), { attributes: { topic: null }, author_id: null });
  assert.equal(answer.statusCode, 200);
  const item = await get(app, clip(2));
  assert.deepEqual(
    [item.title, item.author_id, item.attributes, item.available_from, item.state],
    [`title of ${clip(2)}`, null, { duration_s: 20 }, '2026-01-01T00:00:00.000Z', 'searchable'],
  );
  assert.deepEqual(await scores(app), before);
});

test('patches add up to no more attributes than an item may have', async (t) => {
  const { app } = await build(t);
  await putClips(app, 1);
  const many = (prefix: string, count: number) => ({ attributes: Object.fromEntries(Array.from({ length: count }, (_, n) => [`${prefix}${n}`, n])) });
  await app.inject({ method: 'PUT', url: '/v1/items/full', payload: many('a', 60) });
  assert.equal((await patch(app, 'full', many('b', 4))).statusCode, 200);
  const refused = await patch(app, 'full', many('c', 1));
  assert.deepEqual(
    [refused.statusCode, refused.json<{ errors: object[] }>().errors],
    [422, [{ pointer: '/attributes', detail: 'makes 65 with those that are kept, allowed are 64' }]],
  );
  assert.equal((await patch(app, 'full', { attributes: { b0: null, c0: 1 } })).statusCode, 200);
});

test('a patch that hides an item takes it out of the next answer, and one that shows it brings it back', async (t) => {
  const { app } = await build(t);
  await putClips(app, 10);
  assert.equal((await patch(app, clip(3), { hidden: true })).json<{ state: string }>().state, 'hidden');
  assert.equal((await scores(app)).has(clip(3)), false);
  await patch(app, clip(3), { hidden: false });
  assert.equal((await scores(app)).has(clip(3)), true);
});

test('a patch without hidden states of its own can still replace or drop them', async (t) => {
  const { app } = await build(t);
  await putClips(app, 10);
  const before = await scores(app);
  await patch(app, clip(2), { hidden_states: demoStates(clip(500)) });
  assert.notEqual((await scores(app)).get(clip(2)), before.get(clip(2)));
  await app.inject({ method: 'PUT', url: '/v1/items/unheard-of', payload: { hidden_states: demoStates(clip(7)) } });
  assert.equal((await patch(app, 'unheard-of', { hidden_states: null })).json<{ state: string }>().state, 'pending_features');
  const listed = await app.inject('/v1/items?state=pending_features&limit=3');
  assert.deepEqual(
    listed.json<{ items: { item_id: string }[] }>().items.map(({ item_id: itemId }) => itemId),
    ['unheard-of'],
  );
});

test('a patch is refused when it is empty, names an unknown field or an unknown item', async (t) => {
  const { app } = await build(t);
  await putClips(app, 1);
  assert.equal((await patch(app, clip(1), {})).statusCode, 422);
  const unknown = await patch(app, clip(1), { titel: 'x' });
  assert.deepEqual([unknown.statusCode, unknown.json<{ errors: { pointer: string }[] }>().errors[0]?.pointer], [422, '/titel']);
  assert.equal((await patch(app, 'nobody', { title: 'x' })).json<{ code: string }>().code, 'item_not_found');
});

test('of several writers that saw the same version one wins; the others are told which version there is', async (t) => {
  const { app } = await build(t);
  const url = '/v1/items/a';
  const created = await app.inject({ method: 'PUT', url, payload: { title: '0' }, headers: { 'if-none-match': '*' } });
  const etag = String(created.headers.etag);
  const answers = await Promise.all(
    [1, 2, 3].map((n) => app.inject({ method: 'PUT', url, payload: { title: String(n) }, headers: { 'if-match': etag } })),
  );
  assert.deepEqual(answers.map(({ statusCode }) => statusCode).sort(), [200, 412, 412]);
  const item = await get(app, 'a');
  assert.equal(item.title, String(answers.findIndex(({ statusCode }) => statusCode === 200) + 1));
  assert.match(answers.find(({ statusCode }) => statusCode === 412)?.json<{ detail: string }>().detail ?? '', /is at version/);
});

test('preconditions hold for patch and delete too, and malformed ones are named', async (t) => {
  const { app } = await build(t);
  const put = (headers: Record<string, string>) => app.inject({ method: 'PUT', url: '/v1/items/a', payload: {}, headers });
  assert.equal((await put({ 'if-match': '*' })).statusCode, 412);
  const etag = String((await put({})).headers.etag);
  assert.equal((await put({ 'if-none-match': '*' })).statusCode, 412);
  assert.equal((await patch(app, 'a', { title: 'x' }, { 'if-match': '"999"' })).statusCode, 412);
  const patched = await patch(app, 'a', { title: 'x' }, { 'if-match': etag });
  assert.equal(patched.statusCode, 200);
  const remove = (match: string) => app.inject({ method: 'DELETE', url: '/v1/items/a', headers: { 'if-match': match } });
  assert.equal((await remove(etag)).statusCode, 412);
  const malformed = await remove('W/"1"');
  assert.deepEqual([malformed.statusCode, malformed.json<{ errors: { pointer: string }[] }>().errors[0]?.pointer], [422, '/headers/if-match']);
  assert.equal((await remove(String(patched.headers.etag))).statusCode, 200);
});

test('with wait=stored the answer comes when the item is durable, and the item is searchable soon after', async (t) => {
  const { app, services } = await build(t);
  await putClips(app, 3);
  const url = '/v1/items/late?wait=stored';
  const answer = await app.inject({ method: 'PUT', url, payload: { hidden_states: demoStates(clip(9)) } });
  const { state, searchable_after_ms: after } = answer.json<{ state: string; searchable_after_ms: number | null }>();
  assert.deepEqual([answer.statusCode, state, after], [201, 'stored', null]);
  await services.ingest.settle();
  assert.equal((await scores(app)).has('late'), true);
  await app.inject({ method: 'PUT', url, payload: { hidden: true, hidden_states: demoStates(clip(9)) } });
  assert.equal((await scores(app)).has('late'), false);
});

test('items similar to one are the nearest by vector, without the item itself, hidden ones and excluded ones', async (t) => {
  const { app } = await build(t);
  await putClips(app, 30);
  const same = { hidden_states: demoStates(clip(5)) };
  for (const id of ['twin', 'hidden-twin', 'excluded-twin']) await app.inject({ method: 'PUT', url: `/v1/items/${id}`, payload: same });
  await patch(app, 'hidden-twin', { hidden: true });
  const ask = (itemId: string, payload: object) => app.inject({ method: 'POST', url: `/v1/items/${itemId}/similar`, payload });
  const answer = await ask('twin', { k: 40, exclude: ['excluded-twin'], exact: true });
  const { items, short_reason: short } = answer.json<{ items: { item_id: string; score: number; reason: string }[]; short_reason: string }>();
  assert.deepEqual([items.length, short, items[0]?.reason], [30, 'catalogue_exhausted', 'similar']);
  assert.ok(items.every(({ score }, rank) => rank === 0 || score <= (items[rank - 1]?.score ?? 0)));
  assert.ok(items.every(({ item_id: id }) => !id.includes('twin')));
  const [first] = (await ask('hidden-twin', { k: 1 })).json<{ items: { item_id: string; score: number }[] }>().items;
  assert.match(first?.item_id ?? '', /twin/);
  assert.ok(Math.abs((first?.score ?? 0) - 1) < 1e-5);
  assert.equal((await ask('nobody', {})).statusCode, 404);
  await app.inject({ method: 'PUT', url: '/v1/items/pending', payload: {} });
  assert.deepEqual([(await ask('pending', {})).json<{ code: string }>().code], ['item_without_vector']);
});

test('hidden states that are all zeros are refused: the model would read them as none', async (t) => {
  const { app } = await build(t);
  const states = demoStates(clip(1));
  const zeros = Buffer.alloc(Buffer.from(states.data, 'base64').length).toString('base64');
  const answer = await app.inject({ method: 'PUT', url: '/v1/items/a', payload: { hidden_states: { ...states, data: zeros } } });
  assert.equal(answer.statusCode, 422);
  assert.equal(answer.json<{ errors: { pointer: string }[] }>().errors[0]?.pointer, '/hidden_states/data');
});

test('an item that becomes visible fills a fallback answer that would be short without it', async (t) => {
  const { app } = await build(t);
  await putClips(app, 3);
  await patch(app, clip(3), { hidden: true });
  const ask = async () => {
    const answer = await app.inject({ method: 'POST', url: '/v1/recommendations', payload: { user_id: 'stranger', k: 3 } });
    return answer.json<{ items: unknown[] }>().items.length;
  };
  assert.equal(await ask(), 2);
  await patch(app, clip(3), { hidden: false });
  assert.equal(await ask(), 3);
});

test('every write is acknowledged by the same receipt', async (t) => {
  const { app, services } = await build(t);
  const { fingerprint, manifest } = services.generations.current.artifact;
  const states = { hidden_states: demoStates(clip(1)) };
  const row = { item_id: 'b', ...states };
  const batch = async (url: string, payload: object | string, headers: Record<string, string> = {}) => {
    const answer = await app.inject({ method: 'POST', url, payload, headers });
    const text = typeof payload === 'string' ? `{"results":[${answer.body}]}` : answer.body;
    const [{ status, ...receipt } = { status: 0 }] = (JSON.parse(text) as { results: { status: number }[] }).results;
    assert.ok(status === 200 || status === 201, answer.body);
    return receipt;
  };
  const lines = { 'content-type': 'application/x-ndjson', accept: 'application/x-ndjson' };
  const receipts: [object, string][] = [
    [(await app.inject({ method: 'PUT', url: '/v1/items/a', payload: states })).json(), 'searchable'],
    [(await app.inject({ method: 'PUT', url: '/v1/items/a?wait=stored', payload: states })).json(), 'stored'],
    [await batch('/v1/items/batch', { items: [row] }), 'searchable'],
    [await batch('/v1/items/batch?wait=stored', { items: [row] }), 'stored'],
    [await batch('/v1/items/batch', JSON.stringify(row), lines), 'searchable'],
    [await batch('/v1/items/batch?wait=stored', JSON.stringify(row), lines), 'stored'],
    [(await patch(app, 'a', { title: 'x' })).json(), 'searchable'],
    [(await patch(app, 'a', states)).json(), 'searchable'],
    [(await patch(app, 'a?wait=stored', states)).json(), 'stored'],
    [(await app.inject({ method: 'DELETE', url: '/v1/items/a' })).json(), 'deleted'],
  ];
  let last = 0;
  for (const [receipt, state] of receipts) {
    const { item_id: id, sequence, searchable_after_ms: searchable, applied_after_ms: applied, ...rest } = receipt as Receipt;
    assert.deepEqual(rest, { state, model: { fingerprint, version: manifest.version } }, JSON.stringify(receipt));
    assert.ok(id === 'a' || id === 'b');
    assert.ok(sequence > last && applied > 0, JSON.stringify(receipt));
    assert.equal(searchable === null, state !== 'searchable', JSON.stringify(receipt));
    last = sequence;
  }
  const unknown = await app.inject({ method: 'POST', url: '/v1/items/batch?wait=forever', payload: { items: [row] } });
  assert.deepEqual([unknown.statusCode, unknown.json<{ errors: { pointer: string }[] }>().errors[0]?.pointer], [422, '/query/wait']);
});

test('a patch or batch with wait=stored is in the store when it is answered, and searchable when all is settled', async (t) => {
  const { app, services } = await build(t);
  await putClips(app, 3);
  const items = [1, 2].map((n) => ({ item_id: `late-${n}`, hidden_states: demoStates(clip(n + 10)) }));
  await app.inject({ method: 'POST', url: '/v1/items/batch?wait=stored', payload: { items } });
  assert.equal((await services.stores.items.withHiddenStates(['late-1'])).has('late-1'), true);
  await patch(app, `${clip(2)}?wait=stored`, { hidden: true });
  assert.equal((await scores(app)).has(clip(2)), false);
  const before = (await scores(app)).get(clip(3));
  await patch(app, `${clip(3)}?wait=stored`, { hidden_states: demoStates(clip(700)) });
  await services.ingest.settle();
  const after = await scores(app);
  assert.deepEqual([after.has('late-1'), after.has('late-2')], [true, true]);
  assert.notEqual(after.get(clip(3)), before);
});

test('under a model of ids alone hidden states of any shape are kept for a later one', async (t) => {
  const { app, services } = await build(t);
  const { manifest } = services.generations.current.artifact;
  const { variant } = manifest;
  manifest.variant = 'id';
  const states = { ...demoStates(clip(1)), shape: [14, 192] };
  const put = (itemId: string) => app.inject({ method: 'PUT', url: `/v1/items/${itemId}`, payload: { hidden_states: states } });
  for (const [itemId, state] of [
    [clip(1), 'searchable'],
    ['unheard-of', 'stored'],
  ] as const) {
    const answer = await put(itemId);
    assert.deepEqual([answer.statusCode, answer.json<{ state: string }>().state], [201, state], answer.body);
    assert.deepEqual((await services.stores.items.hiddenStates(itemId))?.shape, [14, 192]);
  }
  const batch = await app.inject({ method: 'POST', url: '/v1/items/batch', payload: { items: [{ item_id: 'row', hidden_states: states }] } });
  assert.equal(batch.statusCode, 200, batch.body);
  assert.equal((await patch(app, clip(1), { hidden_states: states })).statusCode, 200);
  manifest.variant = variant;
  assert.equal((await put('refused')).statusCode, 422);
});

test('an item outside its time is told apart from one that is served, in reads, lists and metrics; its state stays', async (t) => {
  const { app } = await build(t);
  await putClips(app, 2);
  const put = (itemId: string, payload: object) =>
    app.inject({ method: 'PUT', url: `/v1/items/${itemId}`, payload: { ...payload, hidden_states: demoStates(clip(9)) } });
  await put('over', { expires_at: '2020-01-01T00:00:00Z' });
  await put('coming', { available_from: '2099-01-01T00:00:00Z' });
  await put('out-of-sight', { expires_at: '2020-01-01T00:00:00Z', hidden: true });
  await put('running', { available_from: '2020-01-01T00:00:00Z', expires_at: '2099-01-01T00:00:00Z' });
  for (const [itemId, state, availability] of [
    ['over', 'searchable', 'expired'],
    ['coming', 'searchable', 'scheduled'],
    ['out-of-sight', 'hidden', 'expired'],
    ['running', 'searchable', 'now'],
    [clip(1), 'searchable', 'now'],
  ]) {
    const item = await get(app, itemId ?? '');
    assert.deepEqual([item.state, item.availability], [state, availability], itemId);
  }
  const listed = (await app.inject('/v1/items?state=searchable&availability=expired')).json<{ items: { item_id: string }[] }>();
  assert.deepEqual(
    listed.items.map(({ item_id: itemId }) => itemId),
    ['over'],
  );
  const figures = async () => (await app.inject('/metrics')).body.match(/reelfuse_items_unavailable\{.*/g);
  assert.deepEqual(await figures(), ['reelfuse_items_unavailable{reason="scheduled"} 1', 'reelfuse_items_unavailable{reason="expired"} 1']);
  await patch(app, 'over', { expires_at: null });
  await app.inject({ method: 'DELETE', url: '/v1/items/coming' });
  assert.deepEqual(await figures(), ['reelfuse_items_unavailable{reason="scheduled"} 0', 'reelfuse_items_unavailable{reason="expired"} 0']);
});

test('the list is followed to its end by its cursor: every item once, in order, also those that are put meanwhile behind it', async (t) => {
  const { app } = await build(t);
  await putClips(app, 25);
  const follow = async (query: string, limit: number): Promise<{ ids: string[]; pages: number }> => {
    const ids: string[] = [];
    let cursor: string | null = null;
    for (let pages = 1; ; pages++) {
      const url: string = `/v1/items?limit=${limit}${query}${cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`}`;
      const page = (await app.inject(url)).json<{ items: { item_id: string }[]; next_cursor: string | null }>();
      ids.push(...page.items.map(({ item_id: id }) => id));
      cursor = page.next_cursor;
      if (cursor === null) return { ids, pages };
      assert.equal(page.items.length, limit);
      if (pages === 1) await app.inject({ method: 'PUT', url: '/v1/items/zz-later', payload: {} });
    }
  };
  const all = [...Array.from({ length: 25 }, (_, n) => clip(n + 1)), 'zz-later'];
  assert.deepEqual(await follow('', 10), { ids: all, pages: 3 });
  assert.deepEqual((await follow('', 13)).ids, all);
  assert.deepEqual(await follow('&state=pending_features', 10), { ids: ['zz-later'], pages: 1 });
  assert.deepEqual((await follow('&state=searchable', 5)).ids, all.slice(0, -1));
});
