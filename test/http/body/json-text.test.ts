import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReelfuseError } from '../../../src/errors.js';
import { createJsonMeter } from '../../../src/http/body/json-meter.js';
import { parseRows, parseWhole } from '../../../src/http/body/json-text.js';
import { createTurnstile } from '../../../src/turnstile.js';

function byRows(text: string | Buffer): Promise<unknown> {
  const bytes = Buffer.from(text);
  const meter = createJsonMeter({ maxValues: 1000, rows: { maxBytes: 1000, maxValues: 1000 } });
  meter.add(bytes);
  return parseRows(bytes, meter.arrays, createTurnstile());
}

const outcome = async (parse: () => unknown): Promise<unknown> => {
  try {
    return await parse();
  } catch (error) {
    assert.ok(error instanceof ReelfuseError, String(error));
    assert.deepEqual([error.status, error.code], [400, 'malformed_json']);
    return 'refused';
  }
};

test('row by row gives what parsing as a whole gives, for JSON and for what is none', async () => {
  const texts = [
    '{"items":[]}',
    '{ "items" : [ ] , "a": [[1],[2,[3]]] }',
    '{"a":[1,2],"a":[3],"b":{"c":[4,5]}}',
    '{"items":[{"x":"],["},"\\"",[],null,-1e5,true]}',
    '[1,2,3]',
    '[]',
    '"text"',
    '17',
    '{"items":[1,]}',
    '{"items":[,1]}',
    '{"items":[1 2]}',
    '{"items":[1}',
    '{"items":{"a":1]}',
    '{"items":[1]]}',
    '{"items":[1]}{"items":[2]}',
    '{"items":[1],}',
    '{"items":[{"a":1]}}',
    '{"items":["a]}',
    ']{"items":[1]}',
    '{"__proto__":{"a":1}}',
    '{"items":[{"__proto__":{"a":1}}]}',
    '{"items":[{"constructor":{"prototype":{"a":1}}}]}',
    '',
    ' ',
    '{"items":[1e999]}',
    '\ufeff{"items":[1]}',
  ];
  for (const text of texts) {
    const whole = await outcome(() => parseWhole(Buffer.from(text)));
    assert.deepEqual(await outcome(() => byRows(text)), whole, text);
  }
  assert.equal(await outcome(() => parseWhole(Buffer.from('{"items":[1}'))), 'refused');
});

test('bytes that are not UTF-8 are refused by their number, in a short and in a long body', async () => {
  for (const [before, bad] of [
    ['{"a":"', [0xff]],
    [`{"a":"${'é'.repeat(5000)}`, [0xe9, 0x22]],
    ['{"a":"', [0xc0, 0x80]],
    ['{"a":"', [0xed, 0xa0, 0x80]],
  ] as const) {
    const bytes = Buffer.concat([Buffer.from(before), Buffer.from(bad), Buffer.from('"}')]);
    const number = Buffer.byteLength(before) + 1;
    for (const parse of [async () => parseWhole(bytes), () => byRows(bytes)])
      await assert.rejects(parse, { status: 400, code: 'malformed_json', message: `the body is not UTF-8: byte ${number}` });
  }
});
