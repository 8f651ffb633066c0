import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createAttributeTypes } from '../../src/domain/attributes.js';
import { matcherOf, parseFilter } from '../../src/domain/filter.js';
import type { Item } from '../../src/domain/item.js';

const itemOf = (attributes: Record<string, unknown>): Item => ({
  fields: { item_id: 'v1', title: null, author_id: null, attributes, available_from: null, expires_at: null, hidden: false },
  created: Date.parse('2026-10-05T00:00:00Z'),
  idShare: null,
  index: 0,
});

/** Which of the items pass, all of them being the catalogue. */
function passing(filter: object, values: readonly unknown[]): unknown[] {
  const types = createAttributeTypes();
  const items = values.map((at) => itemOf({ at }));
  for (const { fields } of items) types.add(fields.attributes);
  const compiled = parseFilter(filter, '/filter', types.of);
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
  const errors = parseFilter(many, '/filter', () => null);
  assert.ok(Array.isArray(errors) && errors.length === 20);
  assert.ok(JSON.stringify(errors).length < 3000);
});
