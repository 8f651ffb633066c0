import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReelfuseError } from '../../../src/errors.js';
import { createJsonMeter } from '../../../src/http/body/json-meter.js';
import type { BodyLimits } from '../../../src/http/body/limits.js';
import { randomOf } from '../../random.js';

const ROWS = { maxBytes: 1000, maxValues: 10 };

/** Feeds text in pieces of a size. @returns the detail of the refusal, or null */
function refusal(text: string | Buffer, limits: Partial<BodyLimits>, size = 7): string | null {
  const meter = createJsonMeter({ maxValues: 100, ...limits });
  const bytes = Buffer.from(text);
  try {
    for (let at = 0; at < bytes.length; at += size) meter.add(bytes.subarray(at, at + size));
    return null;
  } catch (error) {
    assert.ok(error instanceof ReelfuseError);
    assert.deepEqual([error.status, error.code], [413, 'body_too_complex']);
    return error.message;
  }
}

test('values are counted, whatever stands in strings and however the text is cut', () => {
  const text = JSON.stringify({ a: [1, 2, { b: 'x,[{"\\,'.repeat(40) }], 'k,"': '\\', c: '"'.repeat(100) });
  for (const size of [1, 2, 3, 64, 65, 1000]) {
    assert.equal(refusal(text, { maxValues: 7 }, size), null, `${size}`);
    assert.match(refusal(text, { maxValues: 6 }, size) ?? '', /more than the 6 values/, `${size}`);
  }
});

test('a refusal comes with the first byte too many: the rest is not looked at', () => {
  const meter = createJsonMeter({ maxValues: 3 });
  meter.add(Buffer.from('[0,0,'));
  assert.throws(() => meter.add(Buffer.from('0,0,0')), /values/);
});

test('depth is bounded, and what closes does not count', () => {
  assert.equal(refusal('['.repeat(64), {}), null);
  assert.match(refusal('['.repeat(65), {}) ?? '', /deeper than 64/);
  assert.equal(refusal('[]'.repeat(50), {}), null);
});

test('rows have limits of their own, and the refusal names the row', () => {
  const rows = { ...ROWS };
  assert.equal(refusal(`{"items":[${'[0,0,0,0,0,0,0,0],'.repeat(5)}0]}`, { rows }), null);
  assert.match(refusal(`{"items":[1,2,[${'0,'.repeat(20)}0]]}`, { rows }) ?? '', /^row 2 has more than 10 values/);
  assert.match(refusal(`{"items":[1,"${'x'.repeat(1001)}"]}`, { rows }) ?? '', /^row 1 is larger than 1,000 bytes/);
  assert.match(refusal(`{"items":[1,"${'x'.repeat(5000)}`, { rows }) ?? '', /^row 1 is larger/, 'before the row ends');
  assert.match(refusal(`{"items":[1],"b":"${'x'.repeat(70_000)}`, { rows }) ?? '', /more than 64 KiB beside its rows/);
  assert.equal(refusal(`{"items":[${`"${'x'.repeat(900)}",`.repeat(99)}0]}`, { rows, maxValues: 200 }), null);
  assert.match(refusal(`{${'"a":0,'.repeat(1001)}"b":0}`, { rows, maxValues: 10_000 }) ?? '', /more than 1,000 fields/);
});

test('the meter finds rows where JSON.parse does, in random documents cut at random', () => {
  const random = randomOf(7);
  const below = (limit: number): number => Math.floor(random() * limit);
  const scalars = ['x', 'a"b', '\\', ',', '[', '}', '\u2028é😀', 'y'.repeat(200), `${'z'.repeat(90)}\\"`, 3, -0.5e10, true, null, ''];
  const value = (depth: number): unknown => {
    const kind = below(depth > 3 ? 1 : 3);
    if (kind === 0) return scalars[below(scalars.length)];
    const inner = Array.from({ length: below(5) }, () => value(depth + 1));
    return kind === 1 ? inner : Object.fromEntries(inner.map((part, n) => [`${scalars[below(8)] as string}${n}`, part]));
  };
  for (let round = 0; round < 300; round++) {
    const rows = Array.from({ length: below(6) }, () => value(2));
    const document = { before: value(1), items: rows, after: 'end' };
    const text = Buffer.from(JSON.stringify(document, null, below(2)));
    const meter = createJsonMeter({ maxValues: 1e6, rows: { maxBytes: 1e6, maxValues: 1e6 } });
    for (let at = 0; at < text.length;) {
      const size = 1 + below(80);
      meter.add(text.subarray(at, at + size));
      at += size;
    }
    const arrays = Object.values(document).filter(Array.isArray);
    assert.equal(meter.arrays.length, arrays.length);
    for (const [n, { start, end, commas }] of meter.arrays.entries()) {
      const found = [...commas, end].map((to, at, ends) => text.toString('utf8', at === 0 ? start : (ends[at - 1] ?? 0) + 1, to));
      assert.deepEqual(found.length === 1 && found[0]?.trim() === '' ? [] : found.map((row) => JSON.parse(row) as unknown), arrays[n]);
    }
  }
});
