import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createAttributeRegistry, declareAttribute } from '../../src/domain/attribute-registry.js';
import { matcherOf, parseFilter } from '../../src/domain/filter.js';
import type { Item } from '../../src/domain/item.js';
import { registryOf } from './registry-of.js';

const itemOf = (attributes: Record<string, unknown>): Item => ({
  fields: { item_id: 'v1', title: null, author_id: null, attributes, available_from: null, expires_at: null, hidden: false },
  created: Date.parse('2026-10-05T00:00:00Z'),
  idShare: null,
  index: 0,
});

/** Which of the items pass, all of them being the catalogue. */
function passing(filter: object, values: readonly unknown[]): unknown[] {
  const items = values.map((at) => itemOf({ at }));
  const compiled = parseFilter(filter, '/filter', registryOf(items.map(({ fields }) => fields.attributes)));
  assert.ok(!Array.isArray(compiled), JSON.stringify(compiled));
  return items.filter(matcherOf(compiled.filter)).map(({ fields }) => fields.attributes.at);
}

test('eq and in mean the instant, however the time is written', () => {
  const values = ['2026-10-05T00:00:00Z', '2026-10-05T02:00:00+02:00', '2026-10-05T00:00:00.000Z', '2026-10-06T00:00:00Z'];
  assert.deepEqual(passing({ field: 'at', eq: '2026-10-04T22:00:00-02:00' }, values), values.slice(0, 3));
  assert.deepEqual(passing({ field: 'at', in: ['2026-10-06T01:00:00+01:00', 'never'] }, values), values.slice(3));
  assert.deepEqual(passing({ not: { field: 'at', eq: '2026-10-05T00:00:00Z' } }, values), values.slice(3));
});

test('a comparison with a time lets through times only, whatever else the attribute holds', () => {
  const values = ['2026-10-05T00:00:00Z', '1', '2026', 'soon', 1_900_000_000_000, true, ['2026-10-05T00:00:00Z']];
  assert.deepEqual(passing({ field: 'at', gte: '2000-01-01T00:00:00Z' }, values), values.slice(0, 1));
  assert.deepEqual(passing({ field: 'at', gte: 5 }, values), [1_900_000_000_000]);
  assert.deepEqual(passing({ field: 'created_at', eq: '2026-10-05T02:00:00+02:00' }, values), values);
});

test('of many mistakes only some are told, and a name that no attribute can have is not repeated', () => {
  const many = { all: Array.from({ length: 5000 }, () => ({ field: 'x'.repeat(500), eq: 1 })) };
  const errors = parseFilter(many, '/filter', createAttributeRegistry());
  assert.ok(Array.isArray(errors) && errors.length === 20);
  assert.ok(JSON.stringify(errors).length < 3000);
});

test('a name of 64 characters can be asked for, whichever characters they are', () => {
  const name = '\u{1F600}'.repeat(64);
  const parsed = parseFilter({ field: `attributes.${name}`, eq: 1 }, '/filter', registryOf([{ [name]: 1 }]));
  assert.ok(!Array.isArray(parsed), JSON.stringify(parsed));
  const longer = parseFilter({ field: `attributes.${name}x`, eq: 1 }, '/filter', registryOf([]));
  assert.ok(Array.isArray(longer) && longer[0]?.pointer === '/filter/field');
});

test('with a declared type a filter takes values of that type alone, and matches by it though no item has one', () => {
  const parse = (type: 'time' | 'string' | 'strings', filter: object) =>
    parseFilter(filter, '/filter', createAttributeRegistry([declareAttribute(new Map(), 'at', type, 1)]));
  const passes = (filter: ReturnType<typeof parse>, at: unknown): boolean => {
    assert.ok(!Array.isArray(filter), JSON.stringify(filter));
    return matcherOf(filter.filter)(itemOf(at === undefined ? {} : { at }));
  };
  const instant = parse('time', { field: 'at', eq: '2026-10-05T02:00:00+02:00' });
  assert.deepEqual([passes(instant, '2026-10-05T00:00:00Z'), passes(instant, undefined)], [true, false]);
  assert.equal(passes(parse('time', { not: { field: 'at', gte: '2026-10-05T00:00:00Z' } }), undefined), true);
  assert.equal(passes(parse('strings', { field: 'at', in: ['x'] }), ['x', 'y']), true);
  for (const [type, condition, pointer] of [
    ['time', { eq: 'soon' }, '/filter/eq'],
    ['string', { gte: '2026-10-05T00:00:00Z' }, '/filter/gte'],
    ['strings', { eq: 1 }, '/filter/eq'],
  ] as const) {
    const refused = parse(type, { field: 'at', ...condition });
    assert.deepEqual(Array.isArray(refused) && refused.map((error) => error.pointer), [pointer]);
  }
});
