import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { backUpEmbedded, restoreEmbedded } from '../../src/composition/embedded-backup.js';
import { systemClock } from '../../src/clock.js';
import { bodyOf, codeOf, idsOf, pointersOf, rowsOf, type Api } from '../api.js';
import { build, buildForSuite, clip, demoStates, putClips } from '../build.js';
import { temporaryFolder } from '../temporary-folder.js';

/** Rules that a product would send with every request. */
const standing = (name: string): Record<string, object> => ({
  'a filter that keeps out': { filter: { not: { field: name, eq: true } } },
  'a filter for what is missing': { filter: { field: `attributes.${name}`, exists: false } },
  'a boost': { boosts: [{ filter: { field: name, eq: true }, factor: 2 }] },
  'a cap': { caps: [{ field: name, max: 1 }] },
  'a mixed fallback': { fallback_mix_by: name },
});

async function answers(api: Api, name: string, k: number): Promise<Record<string, [status: number, items: number]>> {
  const found: Record<string, [number, number]> = {};
  for (const [rule, request] of Object.entries(standing(name))) {
    for (const whom of [{ user_id: 'stranger' }, { history: [clip(1)] }]) {
      if (rule === 'a mixed fallback' && 'history' in whom) continue;
      const { status, body } = await api.recommend({ ...whom, k, ...request });
      found[`${rule}, ${Object.keys(whom)[0]}`] = [status, body.items?.length ?? 0];
    }
  }
  return found;
}

describe('rules on an attribute that no item carries now', () => {
  const server = buildForSuite({}, ({ app }) => putClips(app, 5));
  const everything = [200, 4];

  test('are an error while nobody has declared or written it; the error names the field and the nearest name', async () => {
    await server.api.declareAttribute('is_promo', 'boolean');
    const refused = await server.api.recommend({ user_id: 'u', filter: { not: { field: 'ispromo', eq: true } } });
    assert.deepEqual(await pointersOf(refused), [422, '/filter/not/field']);
    assert.match(refused.problem.errors[0]?.detail ?? '', /"ispromo".* did you mean "is_promo"\?$/);
    for (const [rule, [status]] of Object.entries(await answers(server.api, 'never_heard_of', 4))) assert.equal(status, 422, rule);
  });

  test('let all through when it is declared, and eq lets nothing through', async () => {
    await server.api.declareAttribute('promo', 'boolean');
    for (const [rule, answer] of Object.entries(await answers(server.api, 'promo', 4))) assert.deepEqual(answer, everything, rule);
    const none = await bodyOf(server.api.recommend({ user_id: 'stranger', k: 4, filter: { field: 'promo', eq: true } }));
    assert.deepEqual([idsOf(none), none.short_reason], [[], 'filter']);
    assert.deepEqual(await pointersOf(server.api.recommend({ user_id: 'u', filter: { field: 'promo', eq: 'yes' } })), [422, '/filter/eq']);
  });

  test('go on when the last item that carried it is changed or deleted', async () => {
    await server.api.putItem('only-one', { attributes: { nsfw: true }, hidden_states: demoStates(clip(1)) });
    await server.api.patchItem('only-one', { attributes: { nsfw: null } });
    for (const [rule, [status]] of Object.entries(await answers(server.api, 'nsfw', 4))) assert.equal(status, 200, rule);
    await server.api.deleteItem('only-one');
    for (const [rule, answer] of Object.entries(await answers(server.api, 'nsfw', 4))) assert.deepEqual(answer, everything, rule);
  });

  test('are an error again when the attribute is deleted, which needs that no item carries it', async () => {
    await server.api.putItem('typo', { attributes: { topik: 'x' } });
    assert.deepEqual(await codeOf(server.api.deleteAttribute('topik')), [409, 'attribute_in_use']);
    await server.api.deleteItem('typo');
    const { name, items } = await bodyOf(server.api.deleteAttribute('topik'));
    assert.deepEqual([name, items], ['topik', 0]);
    assert.deepEqual(await codeOf(server.api.deleteAttribute('topik')), [404, 'attribute_not_found']);
    assert.deepEqual(await codeOf(server.api.getAttribute('topik')), [404, 'attribute_not_found']);
    const answer = server.api.recommend({ user_id: 'u', filter: { field: 'topik', eq: 'x' } });
    assert.deepEqual(await pointersOf(answer), [422, '/filter/field']);
  });
});

test('what was declared or seen holds in every later process: after a restart, while that loads, and from a backup', async (t) => {
  const folder = temporaryFolder(t);
  const [dataDir, target, restored] = ['data', 'backup', 'restored'].map((name) => join(folder, name)) as [string, string, string];
  const first = await build(t, { REELFUSE_DATA_DIR: dataDir });
  await putClips(first.app, 3);
  await first.api.putItem('only-one', { attributes: { nsfw: true } });
  await first.api.deleteItem('only-one');
  await first.api.declareAttribute('promo', 'boolean');
  const known = await bodyOf(first.api.listAttributes());
  await first.api.writeSnapshot();
  await backUpEmbedded(dataDir, target);
  await first.stop();

  const starting = await build(t, { REELFUSE_DATA_DIR: dataDir }, systemClock, { load: false });
  for (const name of ['nsfw', 'promo'])
    for (const [rule, [status]] of Object.entries(await answers(starting.api, name, 2))) assert.equal(status, 200, rule);
  assert.deepEqual(await pointersOf(starting.api.recommend({ user_id: 'u', caps: [{ field: 'nsfwx', max: 1 }] })), [422, '/caps/0/field']);
  assert.equal((await starting.api.getAttribute('nsfw')).body.items, null); // nobody can know yet
  await starting.stop();

  await restoreEmbedded(target, restored);
  for (const place of [dataDir, restored]) {
    const again = await build(t, { REELFUSE_DATA_DIR: place });
    assert.deepEqual(await bodyOf(again.api.listAttributes()), known);
    assert.deepEqual(await pointersOf(again.api.putItem('x', { attributes: { promo: 1 } })), [422, '/attributes/promo']);
    await again.stop();
  }
});

describe('the registry', () => {
  const server = buildForSuite();

  test('lists what is declared and what was seen, with the number of items that carry it', async () => {
    const before = new Date().toISOString();
    await server.api.putItems([
      { item_id: 'a', attributes: { size: 1, at: '2026-10-05T00:00:00Z', tags: ['x'] } },
      { item_id: 'b', attributes: { size: 'large' } },
    ]);
    await server.api.declareAttribute('promo', 'boolean');
    const { attributes } = await bodyOf(server.api.listAttributes());
    assert.deepEqual(
      attributes.map(({ name, type, types, items }) => [name, type, types, items]),
      [
        ['at', null, ['time'], 1],
        ['promo', 'boolean', ['boolean'], 0],
        ['size', null, ['number', 'string'], 2],
        ['tags', null, ['strings'], 1],
      ],
    );
    const [at, promo] = attributes;
    assert.ok(at?.declared_at === null && (at.first_seen_at ?? '') >= before);
    assert.ok(promo?.first_seen_at === null && (promo.declared_at ?? '') >= before);
    assert.deepEqual(await bodyOf(server.api.getAttribute('promo')), promo);
  });

  test('refuses an item with another type than the declared one, however it is written, and nothing of it is kept', async () => {
    await server.api.declareAttribute('a/b', 'number');
    const bad = { attributes: { 'a/b': 'one' } };
    assert.deepEqual(await pointersOf(server.api.putItem('c', bad)), [422, '/attributes/a~1b']);
    assert.deepEqual(await pointersOf(server.api.putItem('c', bad, { query: { wait: 'stored' } })), [422, '/attributes/a~1b']);
    assert.equal((await server.api.getItem('c')).status, 404);
    await server.api.putItem('c', { attributes: { 'a/b': 1 } });
    assert.deepEqual(await pointersOf(server.api.patchItem('c', bad)), [422, '/attributes/a~1b']);
    const rows = [{ item_id: 'd' }, { item_id: 'c', ...bad }, { item_id: 'e', attributes: { 'a/b': 2 } }];
    const batch = await server.api.putItems(rows);
    const stream = await server.api.streamItems(rows.map((row) => JSON.stringify(row)).join('\n'), { headers: { accept: 'application/x-ndjson' } });
    const results: [unknown[], string][] = [
      [batch.body.results, '/items/1/attributes/a~1b'],
      [rowsOf(stream.text), '/1/attributes/a~1b'],
    ];
    for (const [found, pointer] of results) {
      const [first, second, third] = found as { status: number; item_id: string; error?: { pointer: string; detail: string } }[];
      assert.ok((first?.status ?? 500) < 300 && (third?.status ?? 500) < 300);
      assert.deepEqual([second?.status, second?.item_id, second?.error?.pointer], [422, 'c', pointer]);
      assert.equal(second?.error?.detail, 'is a string, the attribute is declared as number');
    }
    assert.deepEqual((await server.api.getItem('c')).body.attributes, { 'a/b': 1 });
  });

  test('refuses a type while items carry another one, and says which item', async () => {
    await server.api.putItem('f', { attributes: { year: '2026' } });
    const refused = await server.api.declareAttribute('year', 'number');
    assert.deepEqual(await codeOf(refused), [409, 'attribute_in_use']);
    assert.match(refused.problem.detail, /the item "f" carries the attribute "year", with a value that is not of the type number/);
    await server.api.putItem('f', { attributes: { year: 2026 } });
    assert.deepEqual((await bodyOf(server.api.declareAttribute('year', 'number'))).types, ['number']);
    assert.equal((await server.api.declareAttribute('year', 'number')).status, 200);
    assert.deepEqual(await codeOf(server.api.declareAttribute('year', 'string')), [409, 'attribute_in_use']);
  });

  test('checks names and types, and takes every name that an item may have', async () => {
    assert.deepEqual(await pointersOf(server.api.declareAttribute('x', 'list')), [422, '/type']);
    assert.deepEqual(await pointersOf(server.api.declareAttribute('x'.repeat(65), 'string')), [422, '/path/name']);
    assert.deepEqual(await pointersOf(server.api.putItem('g', { attributes: { '\ud800': 1 } })), [422, '/attributes']);
    for (const name of ['\u{1F600}'.repeat(64), 'a b', 'a/b%2F', 'line\nbreak', 'constructor', ' ']) {
      assert.equal((await server.api.declareAttribute(name, 'number')).status, 200, name);
      const item = await server.api.putItem('g', { attributes: { [name]: 1 } });
      assert.ok(item.status < 300, item.text);
      assert.equal((await bodyOf(server.api.getAttribute(name))).items, 1, name);
      const found = await bodyOf(server.api.recommend({ user_id: 'u', k: 1, filter: { field: `attributes.${name}`, exists: false } }));
      assert.equal(found.items.length, 1);
    }
  });
});

test('reading the registry needs the scope recommend, changing it the scope write', async (t) => {
  const { api } = await build(t, { REELFUSE_API_KEYS: 'reader-secret:recommend,writer-secret:write' });
  const [reader, writer] = [{ 'x-api-key': 'reader-secret' }, { 'x-api-key': 'writer-secret' }];
  assert.deepEqual(await codeOf(api.declareAttribute('a', 'string', { headers: reader })), [403, 'scope_missing']);
  assert.equal((await api.declareAttribute('a', 'string', { headers: writer })).status, 200);
  for (const url of ['/v1/attributes', '/v1/attributes/a']) {
    assert.equal((await api.raw({ url, headers: reader })).status, 200);
    assert.deepEqual(await codeOf(api.raw({ url, headers: writer })), [403, 'scope_missing']);
  }
  assert.deepEqual(await codeOf(api.deleteAttribute('a', { headers: reader })), [403, 'scope_missing']);
  assert.equal((await api.deleteAttribute('a', { headers: writer })).status, 200);
});
