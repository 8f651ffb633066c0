import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { InputError } from '../../src/errors.js';
import { importHistory } from '../../src/ingest/import-history.js';
import { importItems } from '../../src/ingest/import-items.js';
import type { ImportReport } from '../../src/ingest/import-rows.js';
import { fileTimeOf } from '../../src/ingest/file-times.js';
import { positiveRule } from '../../src/composition/settings.js';
import { readConfig } from '../../src/config.js';
import { setUp } from './import-setup.js';

async function imported(t: TestContext, name: string, content: string | Buffer) {
  const { stores, write } = setUp(t);
  const file = write(name, content);
  const isHistory = name.startsWith('events') || name.startsWith('pairs');
  const report: ImportReport = isHistory
    ? await importHistory(file, positiveRule(readConfig({})), stores)
    : await importItems(file, null, null, stores);
  const items = await stores.items.list('', 1000);
  return { report, items, stores };
}

const latin = (text: string): Buffer => Buffer.from(text, 'latin1');
const reasons = ({ rejected }: ImportReport): [number, string, string][] =>
  rejected.map(({ row, errors: [first] }) => [row, first?.pointer ?? '', first?.detail ?? '']);

test('text that is not UTF-8 is refused row by row, in lines and in cells, and ids never become one', async (t) => {
  const csv = await imported(t, 'items.csv', latin('item_id,title\ncaf\xe9,one\ncaf\xe8,two\nplain,three\n'));
  assert.deepEqual(reasons(csv.report), [
    [1, '', 'is not UTF-8 (byte 4 of column item_id)'],
    [2, '', 'is not UTF-8 (byte 4 of column item_id)'],
  ]);
  assert.deepEqual(
    csv.items.map(({ item_id: id }) => id),
    ['plain'],
  );
  const lines = await imported(t, 'items.jsonl', latin('{"item_id":"a"}\n{"item_id":"caf\xe9"}\n'));
  assert.deepEqual(reasons(lines.report), [[2, '', 'is not UTF-8 (byte 16 of the line)']]);
  const pairs = await imported(t, 'pairs.tsv', latin('u1\ta b\ncaf\xe9\ta b\n'));
  assert.deepEqual(reasons(pairs.report), [[2, '', 'is not UTF-8 (byte 4 of the line)']]);
});

test('a name that JSON bodies may not have is taken by no other way in', async (t) => {
  const lines = await imported(t, 'items.jsonl', '{"item_id":"a","attributes":{"__proto__":"x"}}\n{"item_id":"b","attributes":{"__proto":"x"}}\n');
  const [first, ...more] = reasons(lines.report);
  assert.deepEqual([first?.[0], first?.[2], more], [1, 'has a name that must be 1 to 64 characters, and not __proto__', []]);
  await assert.rejects(imported(t, 'items.csv', 'item_id,__proto__\na,x\n'), /__proto__/);
});

test('what Excel calls Unicode text is refused once', async (t) => {
  for (const name of ['items.csv', 'items.jsonl', 'pairs.tsv'])
    await assert.rejects(imported(t, name, Buffer.from('\ufeffitem_id,title\n', 'utf16le')), (error) => {
      assert.ok(error instanceof InputError);
      assert.match(error.message, /is UTF-16 text: save it as UTF-8/);
      return true;
    });
});

test('only a line feed ends a line, and numbers of rows are those of the file', async (t) => {
  const separators = '\u2028\u2029\u0085\u000b\u000c';
  const content = `\ufeff\n{"item_id":"a","title":"one${separators.slice(0, 3)}two"}\r\n\n\n{"item_id":"b"}\nnot JSON\n`;
  const { report, items } = await imported(t, 'items.jsonl', content);
  assert.deepEqual(
    items.map(({ item_id: id, title }) => [id, title]),
    [
      ['a', `one${separators.slice(0, 3)}two`],
      ['b', null],
    ],
  );
  assert.equal(report.rejected[0]?.row, 6);
});

test('a history without times says so, however the ending of its file is written', async (t) => {
  for (const name of ['pairs.tsv', 'pairs.TSV']) assert.match((await imported(t, name, 'u\ta b\n')).report.note ?? '', /an order but no times/, name);
});

test('CSV as pandas and Excel write it', async (t) => {
  const bool = await imported(t, 'items.csv', 'item_id,hidden,fresh:boolean\na1,True,False\na2,FALSE,TRUE\na3,false,nan\n');
  assert.deepEqual(
    bool.items.map(({ hidden, attributes }) => [hidden, attributes.fresh]),
    [
      [true, false],
      [false, true],
      [false, undefined],
    ],
  );
  assert.equal((await imported(t, 'UP.CSV', 'item_id\na1\n')).report.imported, 1);
  const semicolons = '\ufeffitem_id;title;price:number\r\na1;"x; y, ""z""\nnext";1.5\r\na2;;2,5\r\n';
  const european = await imported(t, 'items.csv', semicolons);
  assert.deepEqual(
    european.items.map(({ title, attributes }) => [title, attributes.price]),
    [['x; y, "z"\nnext', 1.5]],
  );
  assert.deepEqual(reasons(european.report), [[2, '/attributes/price', '"2,5" has a decimal comma: write a point']]);
  const odd = await imported(t, 'items.csv', 'item_id,n:number,b:boolean\na,inf,true\nb,1e400,true\nc,x,true\nd,1,2\ne,NULL,None\n');
  assert.deepEqual(reasons(odd.report), [
    [1, '/attributes/n', '"inf" is not a number'],
    [2, '/attributes/n', '"1e400" is not a number'],
    [3, '/attributes/n', '"x" is not a number'],
    [4, '/attributes/b', '"2" is neither true nor false'],
  ]);
});

test('a header that no row can be right under is refused once, with the column named', async (t) => {
  const cases: [string, string, RegExp][] = [
    ['items.csv', 'Unnamed: 0,item_id\n0,a1\n', /the column "Unnamed: 0" has the unknown type " 0"/],
    ['items.csv', 'item_id,dc:title\na,b\n', /the column "dc:title" has the unknown type "title"/],
    ['items.csv', 'id,title\na,b\n', /has no column item_id, only "id", "title"/],
    ['items.csv', 'item_id,caf\xe9\na,b\n', /column 2 is not UTF-8/],
    ['events.csv', 'user_id,item_id,type,at\nu,i,like,2026-11-25T10:00:00Z\n', /has no column event_id/],
    ['events.csv', 'event_id,user_id,item_id,type,at,rating\ne,u,i,like,2026-11-25T10:00:00Z,5\n', /has no "rating"/],
  ];
  for (const [name, content, reason] of cases)
    await assert.rejects(imported(t, name, latin(content)), (error) => {
      assert.ok(error instanceof InputError);
      assert.match(error.message, reason);
      return true;
    });
});

test('times of files: what is clear is taken, what is ambiguous is refused', () => {
  const noon = Date.parse('2026-10-01T12:00:00Z');
  for (const form of [
    '2026-10-01T12:00:00Z',
    '2026-10-01 12:00:00',
    '2026-10-01T12:00',
    noon / 1000,
    String(noon / 1000),
    noon,
    `${noon}`,
    `${noon / 1000}.000`,
  ])
    assert.equal(fileTimeOf(form), noon, String(form));
  assert.equal(fileTimeOf('2026-10-01'), Date.parse('2026-10-01T00:00:00Z'));
  assert.equal(fileTimeOf('2026-10-01 14:00:00+02:00'), noon);
  for (const form of [
    '01/02/2026',
    '1.2.2026',
    '20261001',
    20261001,
    '2026',
    2026,
    '2026-02-30',
    '12:00',
    'yesterday',
    '',
    null,
    true,
    -5,
    NaN,
    Infinity,
  ])
    assert.equal(fileTimeOf(form), null, String(form));
});

test('times of rows become times of the API, and others name their field', async (t) => {
  const head = 'event_id,user_id,item_id,type,at\n';
  const { report, stores } = await imported(
    t,
    'events.csv',
    `${head}e1,u,i,like,2026-10-01 12:00:00\ne2,u,j,like,1790856000\ne3,u,k,like,01/02/2026\n`,
  );
  assert.equal(report.imported, 2);
  assert.deepEqual(
    reasons(report).map(([row, pointer]) => [row, pointer]),
    [[3, '/at']],
  );
  assert.match(reasons(report)[0]?.[2] ?? '', /^"01\/02\/2026" is no time: write RFC 3339/);
  assert.deepEqual(
    (await stores.events.history('u', 10)).map(({ at }) => at),
    [1_790_856_000_000, Date.parse('2026-10-01T12:00:00Z')].sort((a, b) => b - a),
  );
  const items = await imported(t, 'items.jsonl', '{"item_id":"a","available_from":1790856000}\n');
  assert.equal(items.items[0]?.available_from, 1_790_856_000_000);
});

test('what databases and pandas write for a missing value is one in every column that is no text; 0 and 1 are booleans', async (t) => {
  const items = await imported(t, 'items.csv', 'item_id,available_from,hidden,fresh:boolean\na,NaN,0,1\nb,NULL,1,0\nc,None,nan,NA\n');
  assert.deepEqual([items.report.imported, items.report.rejectedRows], [3, 0]);
  const read = async (id: string) => {
    const item = await items.stores.items.get(id);
    return [item?.available_from, item?.hidden, item?.attributes.fresh];
  };
  assert.deepEqual(
    [await read('a'), await read('b'), await read('c')],
    [
      [null, false, true],
      [null, true, false],
      [null, false, undefined],
    ],
  );
});
