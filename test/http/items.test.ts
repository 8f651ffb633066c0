import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ItemPage } from '../../src/client/types.js';
import type { Receipt } from '../../src/ingest/acknowledgement.js';
import { bodyOf, idsOf, type Api } from '../api.js';
import { build, buildForSuite, clip, demoStates, putClips } from '../build.js';

const scores = async (api: Api) => {
  const payload = { history: [clip(1)], k: 50, exact: true };
  const answer = await api.recommend(payload);
  const { items } = answer.body;
  return new Map(items.map(({ item_id: itemId, score }) => [itemId, score]));
};

describe('writes of items', () => {
  const server = buildForSuite();

  test('a patch changes what it names, keeps the rest and the vector', async () => {
    const { app, api } = server;
    await putClips(app, 10);
    const before = await scores(api);
    await api.patchItem(clip(2), { attributes: { topic: 'cooking', duration_s: 20 }, available_from: '2026-01-01T00:00:00Z' });
    const answer = await api.patchItem(clip(2), { attributes: { topic: null }, author_id: null });
    assert.equal(answer.status, 200);
    const item = await bodyOf(api.getItem(clip(2)));
    assert.deepEqual(
      [item.title, item.author_id, item.attributes, item.available_from, item.state],
      [`title of ${clip(2)}`, null, { duration_s: 20 }, '2026-01-01T00:00:00.000Z', 'searchable'],
    );
    assert.deepEqual(await scores(api), before);
  });

  test('patches add up to no more attributes than an item may have', async () => {
    const { app, api } = server;
    await putClips(app, 1);
    const many = (prefix: string, count: number) => ({
      attributes: Object.fromEntries(Array.from({ length: count }, (_, n) => [`${prefix}${n}`, n])),
    });
    await api.putItem('full', many('a', 60));
    assert.equal((await api.patchItem('full', many('b', 4))).status, 200);
    const refused = await api.patchItem('full', many('c', 1));
    assert.deepEqual(
      [refused.status, refused.problem.errors],
      [422, [{ pointer: '/attributes', detail: 'makes 65 with those that are kept, allowed are 64' }]],
    );
    assert.equal((await api.patchItem('full', { attributes: { b0: null, c0: 1 } })).status, 200);
  });

  test('a patch that hides an item takes it out of the next answer, and one that shows it brings it back', async () => {
    const { app, api } = server;
    await putClips(app, 10);
    assert.equal((await api.patchItem(clip(3), { hidden: true })).body.state, 'hidden');
    assert.equal((await scores(api)).has(clip(3)), false);
    await api.patchItem(clip(3), { hidden: false });
    assert.equal((await scores(api)).has(clip(3)), true);
  });

  test('a patch is refused when it is empty, names an unknown field or an unknown item', async () => {
    const { app, api } = server;
    await putClips(app, 1);
    assert.equal((await api.patchItem(clip(1), {})).status, 422);
    const unknown = await api.patchItem(clip(1), { titel: 'x' });
    assert.deepEqual([unknown.status, unknown.problem.errors[0]?.pointer], [422, '/titel']);
    assert.equal((await api.patchItem('nobody', { title: 'x' })).problem.code, 'item_not_found');
  });

  test('of several writers that saw the same version one wins; the others are told which version there is', async () => {
    const { api } = server;
    const url = '/v1/items/a';
    const created = await api.raw({ method: 'PUT', url, payload: { title: '0' }, headers: { 'if-none-match': '*' } });
    const etag = String(created.headers.etag);
    const answers = await Promise.all(
      [1, 2, 3].map((n) => api.raw({ method: 'PUT', url, payload: { title: String(n) }, headers: { 'if-match': etag } })),
    );
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 412, 412]);
    const item = await bodyOf(api.getItem('a'));
    assert.equal(item.title, String(answers.findIndex(({ status }) => status === 200) + 1));
    assert.match(answers.find(({ status }) => status === 412)?.problem.detail ?? '', /is at version/);
  });

  test('preconditions hold for patch and delete too, and malformed ones are named', async () => {
    const { api } = server;
    const put = (headers: Record<string, string>) => api.putItem('conditional', {}, { headers });
    assert.equal((await put({ 'if-match': '*' })).status, 412);
    const etag = String((await put({})).headers.etag);
    assert.equal((await put({ 'if-none-match': '*' })).status, 412);
    assert.equal((await api.patchItem('conditional', { title: 'x' }, { headers: { 'if-match': '"999"' } })).status, 412);
    const patched = await api.patchItem('conditional', { title: 'x' }, { headers: { 'if-match': etag } });
    assert.equal(patched.status, 200);
    const remove = (match: string) => api.deleteItem('conditional', { headers: { 'if-match': match } });
    assert.equal((await remove(etag)).status, 412);
    assert.equal((await remove(`W/${String(patched.headers.etag)}`)).status, 412, 'If-Match compares strongly');
    const malformed = await remove('1');
    assert.deepEqual([malformed.status, malformed.problem.errors[0]?.pointer], [422, '/headers/if-match']);
    assert.equal((await remove(String(patched.headers.etag))).status, 200);
  });

  test('tags that are not ours match nothing, and lists, weak tags and * are understood as RFC 9110 says', async () => {
    const { api } = server;
    const etag = String((await api.putItem('tagged')).headers.etag);
    const patch = async (headers: Record<string, string>) => (await api.patchItem('tagged', { title: 'x' }, { headers })).status;
    for (const match of ['"abc"', 'W/"1"', '""', '"1", "xyz"', '"99999999999999999999"'])
      assert.equal(await patch({ 'if-match': match }), 412, match);
    for (const match of ['1', '"1', '"1" "2"', '*, "1"', ',']) assert.equal(await patch({ 'if-match': match }), 422, match);
    for (const none of [etag, `W/${etag}`, `"x", ${etag}`, '*']) assert.equal(await patch({ 'if-none-match': none }), 412, none);
    assert.equal(await patch({ 'if-match': etag, 'if-none-match': '"x"' }), 200);
    assert.equal(await patch({ 'if-match': etag }), 412, 'the version has changed');
    assert.equal((await api.deleteItem('absent', { headers: { 'if-match': '"1"' } })).status, 404);
  });

  test('a read with the current tag is answered by 304; a tag changes with the state too', async () => {
    const { app, api } = server;
    await putClips(app, 1);
    const get = (itemId: string, headers: Record<string, string> = {}) => api.raw({ url: `/v1/items/${itemId}`, headers });
    const etag = String((await get(clip(1))).headers.etag);
    const again = await get(clip(1), { 'if-none-match': `"x", W/${etag}` });
    assert.deepEqual([again.status, again.text, again.headers.etag], [304, '', etag]);
    assert.equal((await get(clip(1), { 'if-none-match': '*' })).status, 304);
    assert.equal((await get(clip(1), { 'if-none-match': '"x"' })).status, 200);
    assert.equal((await get(clip(1), { 'if-match': '"x"' })).status, 412);
    assert.equal((await get('nobody', { 'if-none-match': '*' })).status, 404);
    const stored = String((await api.putItem('waiting')).headers.etag);
    const pending = String((await get('waiting')).headers.etag);
    assert.notEqual(pending, stored, 'a caller that waits for the state must not be told that nothing has changed');
    assert.equal((await api.patchItem('waiting', { title: 'x' }, { headers: { 'if-match': pending } })).status, 200);
  });

  test('with wait=stored the answer comes when the item is durable, and the item is searchable soon after', async () => {
    const { app, api, services } = server;
    await putClips(app, 3);
    const answer = await api.putItem('late', { hidden_states: demoStates(clip(9)) }, { query: 'wait=stored' });
    const { state, searchable_after_ms: after } = answer.body;
    assert.deepEqual([answer.status, state, after], [201, 'stored', null]);
    await services.ingest.settle();
    assert.equal((await scores(api)).has('late'), true);
    await api.putItem('late', { hidden: true, hidden_states: demoStates(clip(9)) }, { query: 'wait=stored' });
    assert.equal((await scores(api)).has('late'), false);
  });

  test('every write is acknowledged by the same receipt', async () => {
    const { api, services } = server;
    const { fingerprint, manifest } = services.generations.current.artifact;
    const states = { hidden_states: demoStates(clip(1)) };
    const row = { item_id: 'b', ...states };
    const batch = async (url: string, payload: object | string, headers: Record<string, string> = {}) => {
      const answer = await api.raw({ method: 'POST', url, payload, headers });
      const text = typeof payload === 'string' ? `{"results":[${answer.text}]}` : answer.text;
      const [{ status, ...receipt } = { status: 0 }] = (JSON.parse(text) as { results: { status: number }[] }).results;
      assert.ok(status === 200 || status === 201, answer.text);
      return receipt;
    };
    const lines = { 'content-type': 'application/x-ndjson', accept: 'application/x-ndjson' };
    const receipts: [object, string][] = [
      [(await api.putItem('a', states)).body, 'searchable'],
      [(await api.putItem('a', states, { query: 'wait=stored' })).body, 'stored'],
      [await batch('/v1/items/batch', { items: [row] }), 'searchable'],
      [await batch('/v1/items/batch?wait=stored', { items: [row] }), 'stored'],
      [await batch('/v1/items/batch', JSON.stringify(row), lines), 'searchable'],
      [await batch('/v1/items/batch?wait=stored', JSON.stringify(row), lines), 'stored'],
      [(await api.patchItem('a', { title: 'x' })).body, 'searchable'],
      [(await api.patchItem('a', states)).body, 'searchable'],
      [(await api.patchItem('a', states, { query: 'wait=stored' })).body, 'stored'],
      [(await api.deleteItem('a')).body, 'deleted'],
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
    const unknown = await api.putItems([row], { query: 'wait=forever' });
    assert.deepEqual([unknown.status, unknown.problem.errors[0]?.pointer], [422, '/query/wait']);
  });

  test('a patch or batch with wait=stored is in the store when it is answered, and searchable when all is settled', async () => {
    const { app, api, services } = server;
    await putClips(app, 3);
    const items = [1, 2].map((n) => ({ item_id: `late-${n}`, hidden_states: demoStates(clip(n + 10)) }));
    await api.putItems(items, { query: 'wait=stored' });
    assert.equal((await services.stores.items.withHiddenStates(['late-1'])).has('late-1'), true);
    await api.patchItem(clip(2), { hidden: true }, { query: 'wait=stored' });
    assert.equal((await scores(api)).has(clip(2)), false);
    const before = (await scores(api)).get(clip(3));
    await api.patchItem(clip(3), { hidden_states: demoStates(clip(700)) }, { query: 'wait=stored' });
    await services.ingest.settle();
    const after = await scores(api);
    assert.deepEqual([after.has('late-1'), after.has('late-2')], [true, true]);
    assert.notEqual(after.get(clip(3)), before);
  });
});

test('a patch without hidden states of its own can still replace or drop them', async (t) => {
  const { app, api } = await build(t);
  await putClips(app, 10);
  const before = await scores(api);
  await api.patchItem(clip(2), { hidden_states: demoStates(clip(500)) });
  assert.notEqual((await scores(api)).get(clip(2)), before.get(clip(2)));
  await api.putItem('unheard-of', { hidden_states: demoStates(clip(7)) });
  assert.equal((await api.patchItem('unheard-of', { hidden_states: null })).body.state, 'pending_features');
  const listed = await api.listItems('state=pending_features&limit=3');
  assert.deepEqual(
    listed.body.items.map(({ item_id: itemId }) => itemId),
    ['unheard-of'],
  );
});

test('items similar to one are the nearest by vector, without the item itself, hidden ones and excluded ones', async (t) => {
  const { app, api } = await build(t);
  await putClips(app, 30);
  const same = { hidden_states: demoStates(clip(5)) };
  for (const id of ['twin', 'hidden-twin', 'excluded-twin']) await api.putItem(id, same);
  await api.patchItem('hidden-twin', { hidden: true });
  const ask = (itemId: string, payload: object) => api.similarItems(itemId, payload);
  const answer = await ask('twin', { k: 40, exclude: ['excluded-twin'], exact: true });
  const { items, short_reason: short } = answer.body;
  assert.deepEqual([items.length, short, items[0]?.reason], [30, 'catalogue_exhausted', 'similar']);
  assert.ok(items.every(({ score }, rank) => rank === 0 || score <= (items[rank - 1]?.score ?? 0)));
  assert.ok(items.every(({ item_id: id }) => !id.includes('twin')));
  const [first] = (await ask('hidden-twin', { k: 1 })).body.items;
  assert.match(first?.item_id ?? '', /twin/);
  assert.ok(Math.abs((first?.score ?? 0) - 1) < 1e-5);
  assert.equal((await ask('nobody', {})).status, 404);
  await api.putItem('pending');
  assert.deepEqual([(await ask('pending', {})).problem.code], ['item_without_vector']);
});

test('hidden states that are all zeros are refused: the model would read them as none', async (t) => {
  const { api } = await build(t);
  const states = demoStates(clip(1));
  const zeros = Buffer.alloc(Buffer.from(states.data, 'base64').length).toString('base64');
  const answer = await api.putItem('a', { hidden_states: { ...states, data: zeros } });
  assert.equal(answer.status, 422);
  assert.equal(answer.problem.errors[0]?.pointer, '/hidden_states/data');
});

test('an item that becomes visible fills a fallback answer that would be short without it', async (t) => {
  const { app, api } = await build(t);
  await putClips(app, 3);
  await api.patchItem(clip(3), { hidden: true });
  const ask = async () => {
    const answer = await api.recommend({ user_id: 'stranger', k: 3 });
    return answer.body.items.length;
  };
  assert.equal(await ask(), 2);
  await api.patchItem(clip(3), { hidden: false });
  assert.equal(await ask(), 3);
});

test('under a model of ids alone hidden states of any shape are kept for a later one', async (t) => {
  const { api, services } = await build(t);
  const { manifest } = services.generations.current.artifact;
  const { variant } = manifest;
  manifest.variant = 'id';
  const states = { ...demoStates(clip(1)), shape: [14, 192] };
  const put = (itemId: string) => api.putItem(itemId, { hidden_states: states });
  for (const [itemId, state] of [
    [clip(1), 'searchable'],
    ['unheard-of', 'stored'],
  ] as const) {
    const answer = await put(itemId);
    assert.deepEqual([answer.status, answer.body.state], [201, state], answer.text);
    assert.deepEqual((await services.stores.items.hiddenStates(itemId))?.shape, [14, 192]);
  }
  const batch = await api.putItems([{ item_id: 'row', hidden_states: states }]);
  assert.equal(batch.status, 200, batch.text);
  assert.equal((await api.patchItem(clip(1), { hidden_states: states })).status, 200);
  manifest.variant = variant;
  assert.equal((await put('refused')).status, 422);
});

test('an item outside its time is told apart from one that is served, in reads, lists and metrics; its state stays', async (t) => {
  const { app, api } = await build(t);
  await putClips(app, 2);
  const put = (itemId: string, payload: object) => api.putItem(itemId, { ...payload, hidden_states: demoStates(clip(9)) });
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
    const item = await bodyOf(api.getItem(itemId ?? ''));
    assert.deepEqual([item.state, item.availability], [state, availability], itemId);
  }
  const listed = (await api.listItems('state=searchable&availability=expired')).body;
  assert.deepEqual(
    listed.items.map(({ item_id: itemId }) => itemId),
    ['over'],
  );
  const figures = async () => (await api.metrics()).match(/reelfuse_items_unavailable\{.*/g);
  assert.deepEqual(await figures(), ['reelfuse_items_unavailable{reason="scheduled"} 1', 'reelfuse_items_unavailable{reason="expired"} 1']);
  await api.patchItem('over', { expires_at: null });
  await api.deleteItem('coming');
  assert.deepEqual(await figures(), ['reelfuse_items_unavailable{reason="scheduled"} 0', 'reelfuse_items_unavailable{reason="expired"} 0']);
});

test('the list is followed to its end by its cursor: every item once, in order, also those that are put meanwhile behind it', async (t) => {
  const { app, api } = await build(t);
  await putClips(app, 25);
  const follow = async (query: string, limit: number): Promise<{ ids: string[]; pages: number }> => {
    const ids: string[] = [];
    let cursor: string | null = null;
    for (let pages = 1; ; pages++) {
      const next: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      const page: ItemPage = await bodyOf(api.listItems(`limit=${limit}${query}${next}`));
      ids.push(...idsOf(page));
      cursor = page.next_cursor;
      if (cursor === null) return { ids, pages };
      assert.equal(page.items.length, limit);
      if (pages === 1) await api.putItem('zz-later');
    }
  };
  const all = [...Array.from({ length: 25 }, (_, n) => clip(n + 1)), 'zz-later'];
  assert.deepEqual(await follow('', 10), { ids: all, pages: 3 });
  assert.deepEqual((await follow('', 13)).ids, all);
  assert.deepEqual(await follow('&state=pending_features', 10), { ids: ['zz-later'], pages: 1 });
  assert.deepEqual((await follow('&state=searchable', 5)).ids, all.slice(0, -1));
});
