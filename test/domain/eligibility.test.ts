import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANYTHING, isEligible, type EligibilityRules } from '../../src/domain/eligibility.js';
import { hashOf } from '../../src/domain/item-hash.js';
import type { Item, ItemFields } from '../../src/domain/item.js';

const NOW = 1000;
const itemOf = (fields: Partial<ItemFields> = {}): Item => ({
  fields: { item_id: 'v', title: null, author_id: null, attributes: {}, available_from: null, expires_at: null, hidden: false, ...fields },
  created: 0,
  idShare: null,
  index: 5,
});
const passes = (rules: Partial<EligibilityRules>, fields: Partial<ItemFields> = {}): boolean =>
  isEligible(itemOf(fields), { ...ANYTHING, ...rules }, NOW);

test('an item can be served from the millisecond on at which it is available, to the one before it expires', () => {
  assert.deepEqual([passes({}), passes({}, { hidden: true })], [true, false]);
  assert.deepEqual([passes({}, { available_from: NOW }), passes({}, { available_from: NOW + 1 })], [true, false]);
  assert.deepEqual([passes({}, { expires_at: NOW + 1 }), passes({}, { expires_at: NOW })], [true, false]);
});

test('what is seen, excluded, shown on an earlier page or kept out by the filter is not eligible', () => {
  const filterOf = (result: boolean): EligibilityRules['filter'] => ({ key: '', filter: { all: [] }, matches: () => result });
  assert.deepEqual([passes({ seen: new Map([[5, 1]]) }), passes({ seen: new Map([[6, 1]]) })], [false, true]);
  assert.deepEqual([passes({ excludedIds: new Set(['v']) }), passes({ excludedIds: new Set(['w']) })], [false, true]);
  assert.deepEqual([passes({ shownEarlier: new Set([hashOf('v')]) }), passes({ shownEarlier: new Set([hashOf('w')]) })], [false, true]);
  assert.deepEqual([passes({ filter: filterOf(false) }), passes({ filter: filterOf(true) })], [false, true]);
});
