import { positiveRule } from '../../src/composition/settings.js';
import { readConfig } from '../../src/config.js';
import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { publishedAt, UNKNOWN_TIME } from '../../src/domain/item.js';
import { importHistory } from '../../src/ingest/import-history.js';
import { importItems, openFeatures } from '../../src/ingest/import-items.js';
import { demoFile } from '../../src/generations/model-choice.js';
import { event } from '../store/conformance/stores.js';
import { npyOf } from '../npy.js';
import { temporaryFolder } from '../temporary-folder.js';
import { setUp, writerIn } from './import-setup.js';

const SHAPE = { layers: 2, width: 3 };

function safetensors(ids: string[] | null, shape: number[], values: Float32Array): Buffer {
  const metadata = ids === null ? {} : { __metadata__: { item_ids: JSON.stringify(ids) } };
  const header = Buffer.from(JSON.stringify({ ...metadata, hidden_states: { dtype: 'F32', shape, data_offsets: [0, values.byteLength] } }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, Buffer.from(values.buffer)]);
}

const POSITIVES = positiveRule(readConfig({}));

test('JSONL items land with their hidden states; bad rows are named by row and field', async (t) => {
  const { stores, write } = setUp(t);
  const values = Float32Array.from({ length: 12 }, (_, index) => index);
  values[7] = NaN;
  const features = openFeatures(write('f.safetensors', safetensors(['a', 'b'], [2, 2, 3], values)), SHAPE);
  const items = write('items.jsonl', '{"item_id":"a","title":"A"}\n{"item_id":"b"}\n{"item_id":"c","colour":1}\n{oops\n{"item_id":"d"}\n');
  const report = await importItems(items, features, SHAPE, stores);
  features.close();
  assert.equal(report.imported, 2);
  assert.deepEqual(report.rejected.map(({ row, errors }) => [row, errors[0]?.pointer]).sort(), [
    [2, '/hidden_states'],
    [3, '/colour'],
    [4, ''],
  ]);
  assert.deepEqual((await stores.items.hiddenStates('a'))?.shape, [2, 3]);
  assert.equal((await stores.items.withHiddenStates(['d'])).has('d'), false);
  assert.equal(await stores.items.get('b'), null);
});

test('rows of another unit are refused as they are over HTTP, and rows of zeros are no features', async (t) => {
  const { stores, write } = setUp(t);
  const values = Float32Array.from({ length: 9 }, (_, index) => (index < 3 ? 1 : index < 6 ? 0 : 1e38));
  const path = write('f.safetensors', safetensors(['a', 'b', 'c'], [3, 1, 3], values));
  const features = openFeatures(path, { layers: 1, width: 3, norms: [2] });
  const report = await importItems(write('items.csv', 'item\na\nb\nc\n'), features, null, stores);
  features.close();
  assert.deepEqual(await stores.items.withHiddenStates(['a', 'b']), new Set(['a']));
  assert.match(report.rejected[0]?.errors[0]?.detail ?? '', /row 2 \(c\) layer 0 has the norm 1\.73e\+38/);
});

test('CSV columns become fields and typed attributes', async (t) => {
  const { stores, write } = setUp(t);
  const items = write('items.csv', 'item,title,author_id,topic,duration_s:number,tags:list\nx,"a, b",a1,cooking,12.5,one|two\ny,t,a2,,bad,\n');
  const report = await importItems(items, null, null, stores);
  assert.deepEqual((await stores.items.get('x'))?.attributes, { topic: 'cooking', duration_s: 12.5, tags: ['one', 'two'] });
  assert.equal((await stores.items.get('x'))?.title, 'a, b');
  assert.deepEqual(
    report.rejected.map(({ row, errors }) => [row, errors[0]?.pointer]),
    [[2, '/attributes/duration_s']],
  );
});

test('a CSV row of more or fewer cells than the header is refused, not shifted; blank cells are empty, numbers are decimal', async (t) => {
  const { stores, write } = setUp(t);
  const items = write('items.csv', '\ufeffitem_id, title ,n:number\nx1,Hello, world,3\nx2,Fine\nx3, , \nx4,t,0x10\nx5,t, 1.5e1 \n');
  const report = await importItems(items, null, null, stores);
  assert.deepEqual(
    report.rejected.map(({ row, errors }) => [row, errors[0]?.pointer, errors[0]?.detail.split(':')[0]]),
    [
      [1, '', 'has 4 cells, the header has 3'],
      [2, '', 'has 2 cells, the header has 3'],
      [4, '/attributes/n', report.rejected[2]?.errors[0]?.detail],
    ],
  );
  assert.deepEqual([(await stores.items.get('x3'))?.title, (await stores.items.get('x3'))?.attributes], [null, {}]);
  assert.deepEqual([(await stores.items.get('x5'))?.title, (await stores.items.get('x5'))?.attributes], ['t', { n: 15 }]);
});

test('a CSV header whose columns cannot be told apart is refused', async (t) => {
  const { stores, write } = setUp(t);
  await assert.rejects(importItems(write('a.csv', 'item_id,topic, topic\nx,1,2\n'), null, null, stores), /columns 2 and 3 are both named topic/);
  await assert.rejects(importItems(write('b.csv', 'item_id,,topic\nx,1,2\n'), null, null, stores), /column 2 has no name/);
});

test('a byte order mark and blank lines are no rows', async (t) => {
  const { stores, write } = setUp(t);
  const items = await importItems(write('items.jsonl', '\ufeff{"item_id":"a"}\r\n   \r\n{"item_id":"b"}'), null, null, stores);
  const history = await importHistory(write('pairs.tsv', '\ufeffu1\ta b\r\n\r\n'), POSITIVES, stores);
  assert.deepEqual([items.imported, items.rejected, history.imported, history.rejected], [2, [], 1, []]);
  assert.equal((await stores.events.history('u1', 10)).length, 2);
});

test('events of lines are told apart whatever colons the ids have', async (t) => {
  const { stores, write } = setUp(t);
  const file = write('pairs.tsv', 'u:yt\tabc\nu\tyt:abc\n');
  for (const _ of ['first', 'again']) {
    await importHistory(file, POSITIVES, stores, { fromStart: true });
    assert.deepEqual(await Promise.all(['u:yt', 'u'].map(async (user) => (await stores.events.history(user, 10)).map(({ item_id: id }) => id))), [
      ['abc'],
      ['yt:abc'],
    ]);
  }
});

test('an import goes on where it stopped, and a changed file starts anew', async (t) => {
  const { stores, write } = setUp(t);
  const lines = Array.from({ length: 600 }, (_, index) => `{"item_id":"i${index}"}`).join('\n');
  const file = write('items.jsonl', lines);
  const stopping = importItems(file, null, null, stores, {
    onProgress: () => {
      throw new Error('stopped');
    },
  });
  await assert.rejects(stopping, /stopped/);
  assert.ok((await stores.items.count()) < 600);
  const resumed = await importItems(file, null, null, stores);
  assert.ok(resumed.resumedAfter > 0 && resumed.imported === 600 - resumed.resumedAfter);
  assert.equal(await stores.items.count(), 600);
  const changed = await importItems(write('items.jsonl', `${lines}\n{"item_id":"one-more"}`), null, null, stores);
  assert.equal(changed.resumedAfter, 0);
  assert.equal(await stores.items.count(), 601);
});

test('a history of lines keeps its order; bad lines are named', async (t) => {
  const { stores, write } = setUp(t);
  const file = write('pairs.tsv', 'u1\ta b c\nu2 no tab\nu1\td\nu3\t\n');
  const report = await importHistory(file, POSITIVES, stores);
  assert.deepEqual(
    (await stores.events.history('u1', 10)).map(({ item_id: id }) => id),
    ['c', 'b', 'a'],
  );
  assert.deepEqual(report.rejected.map(({ row }) => row).sort(), [2, 3, 4]);
  await importHistory(write('again.tsv', 'u1\ta b c\n'), POSITIVES, stores);
  assert.equal((await stores.events.history('u1', 10)).length, 3);
  await importHistory(write('later.tsv', 'u1\tb c d\n'), POSITIVES, stores); // what came since, the oldest cut off
  assert.deepEqual(
    (await stores.events.history('u1', 10)).map(({ item_id: id }) => id),
    ['d', 'c', 'b', 'a'],
  );
});

test('events of a file are checked like posted ones', async (t) => {
  const { stores, write } = setUp(t);
  const file = write(
    'events.csv',
    'event_id,user_id,item_id,type,at,watch_ms,duration_ms,watch_portion\n' +
      '1,u,a,view,2026-01-01T00:00:00Z,900,1000,\n2,u,b,glance,2026-01-01T00:00:00Z,,,\n' +
      '3,u,c,view,2026-01-01T00:00:00Z,,,0.25\n4,u,d,view,2026-01-01T00:00:00Z,200,,\n',
  );
  const report = await importHistory(file, POSITIVES, stores);
  assert.deepEqual(
    report.rejected.map(({ row, errors }) => [row, errors[0]?.pointer]),
    [[2, '/type']],
  );
  assert.equal((await stores.events.history('u', 10)).length, 1);
});

test('feature files that do not fit are refused with the reason', (t) => {
  const write = writerIn(temporaryFolder(t));
  const twelve = new Float32Array(12);
  const cases: [Buffer | string, RegExp][] = [
    [safetensors(['a', 'b'], [2, 3, 2], twelve), /has 3 layers of 2, the model wants 2 of 3/],
    [safetensors(['a', 'b'], [2, 6], twelve), /wanted is \[items, layers, hidden size\]/],
    [safetensors(['a'], [2, 2, 3], twelve), /names 1 item ids for 2 rows/],
    [safetensors(['a', 'a'], [2, 2, 3], twelve), /item a has two rows/],
    [safetensors(null, [2, 2, 3], twelve), /names no item ids/],
    [safetensors(['a', 'b'], [2, 2, 3], new Float32Array(6)), /do not agree/],
    ['garbage', /too short|not a safetensors/],
  ];
  cases.forEach(([content, message], index) => {
    assert.throws(() => openFeatures(write(`${index}.safetensors`, content), SHAPE), message);
  });
  assert.throws(() => openFeatures(demoFile('nowhere.safetensors'), SHAPE), /cannot be opened/);
});

test('ids of rows come from a file beside the features, whatever ends its lines', (t) => {
  const { write } = setUp(t);
  const features = write('plain.safetensors', safetensors(null, [2, 2, 3], new Float32Array(12).fill(1)));
  write('plain.ids.txt', '\ufeffa\r\nb\r\n');
  const opened = openFeatures(features, SHAPE);
  assert.deepEqual([opened.read('a') === null, opened.read('b') === null, opened.read('b\r')], [false, false, null]);
  opened.close();
  write('plain.ids.txt', Buffer.from([0x61, 0x0a, 0xff, 0x0a]));
  assert.throws(() => openFeatures(features, SHAPE), /plain\.ids\.txt: is not UTF-8/);
});

test("an extraction's folder is read shard by shard", async (t) => {
  const { stores, write } = setUp(t);
  const shard = (name: string, ids: string[], first: number) => {
    const content = safetensors(
      ids,
      [ids.length, 2, 3],
      Float32Array.from({ length: ids.length * 6 }, (_, index) => first + index),
    );
    write(name, content);
    return { file: name, items: ids.length, bytes: content.length };
  };
  const shards = [shard('shard-00000.safetensors', ['a', 'b'], 0), shard('shard-00001.safetensors', ['c'], 50)];
  const index = (change: object) =>
    dirname(write('index.json', JSON.stringify({ format: 'reelfuse-features', format_version: 1, shards, ...change })));
  const features = openFeatures(index({ complete: true }), SHAPE);
  assert.deepEqual([features.count, features.shape], [3, SHAPE]);
  const report = await importItems(write('items.jsonl', '{"item_id":"c"}\n{"item_id":"b"}\n{"item_id":"z"}\n'), features, SHAPE, stores);
  features.close();
  assert.equal(report.imported, 3);
  const floats = async (id: string) => [...new Float32Array(new Uint8Array((await stores.items.hiddenStates(id))?.data ?? []).buffer)];
  assert.deepEqual(await floats('c'), [50, 51, 52, 53, 54, 55]);
  assert.deepEqual(await floats('b'), [6, 7, 8, 9, 10, 11]);
  assert.equal((await stores.items.withHiddenStates(['z'])).has('z'), false);

  const wrong: [object, RegExp][] = [
    [{ format: 'other' }, /index\.json: is not an index of format reelfuse-features/],
    [{ complete: false }, /index\.json: its extraction is not finished/],
    [{ shards: [{ file: '../up.safetensors', items: 1, bytes: 1 }] }, /index\.json: shards is not a list/],
    [{ shards: [] }, /index\.json: names no shards/],
    [{ shards: [{ ...shards[0], bytes: 7 }] }, /shard-00000\.safetensors: has \d+ bytes, index\.json says 7/],
    [{ shards: [{ ...shards[0], items: 9 }] }, /shard-00000\.safetensors: has 2 rows, index\.json says 9/],
    [{ shards: [{ file: 'gone.safetensors', items: 1, bytes: 1 }] }, /gone\.safetensors: is missing/],
    [{ shards: [shards[0], shard('again.safetensors', ['b'], 0)] }, /again\.safetensors: item b has another row/],
  ];
  for (const [change, message] of wrong) assert.throws(() => openFeatures(index(change), null), message);
  assert.throws(() => openFeatures(index({}), { layers: 9, width: 3 }), /has 2 layers of 3, the model wants 9 of 3/);
});

test('lines without times get none: the import says so, and the history keeps its order before everything with a time', async (t) => {
  const { stores, write } = setUp(t);
  await stores.events.append([{ ...event('1', 'u1', 'older', Date.UTC(2001, 0, 1)) }]);
  const report = await importHistory(write('pairs.tsv', 'u1\ta b c\n'), POSITIVES, stores);
  assert.match(report.note ?? '', /no times/);
  assert.equal((await importHistory(write('events.jsonl', ''), POSITIVES, stores)).note, undefined);
  const history = await stores.events.history('u1', 10);
  assert.deepEqual(
    history.map(({ item_id: id, at }) => [id, at]),
    [
      ['older', Date.UTC(2001, 0, 1)],
      ['c', UNKNOWN_TIME],
      ['b', UNKNOWN_TIME],
      ['a', UNKNOWN_TIME],
    ],
  );
});

test('an imported item is not fresh: nobody knows when it was published', async (t) => {
  const { stores, write } = setUp(t);
  await importItems(write('items.jsonl', '{"item_id":"a"}\n{"item_id":"b","available_from":"2026-01-01T00:00:00Z"}\n'), null, null, stores);
  const published = async (id: string) => {
    const { created_at: created, ...fields } = (await stores.items.get(id)) ?? assert.fail();
    return publishedAt({ fields, created }, Date.now());
  };
  assert.deepEqual([await published('a'), await published('b')], [null, Date.UTC(2026, 0, 1)]);
});

test('hidden states come from files of NumPy too, by the ids beside them; what does not fit is named', (t) => {
  const write = writerIn(temporaryFolder(t));
  const values = Float32Array.from({ length: 12 }, (_, index) => index);
  write('whole.ids.txt', 'a\nb\n');
  const whole = openFeatures(write('whole.npy', npyOf([2, 2, 3], values)), SHAPE);
  assert.deepEqual(whole.read('b'), { dtype: 'float32', shape: [2, 3], data: Buffer.from(values.buffer.slice(24)) });
  whole.close();
  write('half.ids.txt', 'a\nb\n');
  const half = openFeatures(write('half.npy', npyOf([2, 2, 3], new Uint16Array(12).fill(0x3c00))), SHAPE);
  assert.deepEqual([half.read('a')?.dtype, half.read('unknown')], ['float16', null]);
  half.close();

  const fortran = npyOf([2, 2, 3], values).toString('latin1').replace("'fortran_order': False", "'fortran_order': True ");
  const cases: [Buffer | string, RegExp][] = [
    [npyOf([2, 2, 3], values), /names no item ids; they must be in .*0\.ids\.txt/],
    [npyOf([2, 2, 3], values, '<f8'), /holds <f8, wanted is float16 or float32/],
    [npyOf([2, 2, 4], values), /shape and a size that do not agree/],
    [Buffer.from(fortran, 'latin1'), /in Fortran's order/],
    [npyOf([2, 6], values), /wanted is \[items, layers, hidden size\]/],
    ['garbage', /is not a file of numpy\.save/],
    [npyOf([2, 2, 3], values).subarray(0, 40), /is not a file of numpy\.save \(header of/],
  ];
  cases.forEach(([content, message], index) => assert.throws(() => openFeatures(write(`${index}.npy`, content), SHAPE), message));
  assert.throws(() => openFeatures(write('states.pt', 'x'), SHAPE), /only Python reads; save hidden_states\.numpy\(\) by numpy\.save/);
});
