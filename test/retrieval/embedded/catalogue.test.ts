import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCatalogue } from '../../../src/retrieval/embedded/catalogue.js';
import { createItemRows } from '../../../src/domain/item-interner.js';
import { compileFilter } from '../../../src/domain/filter.js';
import type { ItemFields } from '../../../src/store/store.js';
import { manualClock } from '../../manual-clock.js';

const START = Date.parse('2026-11-24T12:00:00Z');
const HOUR = 3_600_000;

/** A catalogue over replicas that only keep what they are told to hold. */
function open() {
  const held = new Set<number>();
  const clock = manualClock(START);
  const pool = {
    grow: async () => undefined,
    update: async ({ add, remove }: { add: number[]; remove: number[] }) => {
      for (const slot of remove) held.delete(slot);
      for (const slot of add) held.add(slot);
    },
  };
  const catalogue = createCatalogue(2, true, pool, createItemRows(), clock);
  const fieldsOf = (itemId: string, given: Partial<ItemFields>): ItemFields => ({
    ...{ item_id: itemId, title: null, author_id: null, attributes: { topic: 'sport' }, available_from: null, expires_at: null, hidden: false },
    ...given,
  });
  const put = (itemId: string, given: Partial<ItemFields> = {}) =>
    catalogue.publish([{ fields: fieldsOf(itemId, given), created: START, vector: Float32Array.of(1, 2), idShare: 0.5 }]);
  const describe = (itemId: string, given: Partial<ItemFields>) => catalogue.describe(fieldsOf(itemId, given));
  const found = (): string[] => [...held].map((slot) => catalogue.atSlot(slot)?.fields.item_id ?? '?').sort();
  return { catalogue, clock, put, describe, found };
}

test('a hidden item leaves the index at once and comes back in the same slot when it is shown again', async () => {
  const { catalogue, put, describe, found } = open();
  await put('a');
  await put('b', { hidden: true });
  const slot = catalogue.get('a')?.slot;
  assert.deepEqual(found(), ['a']);
  await describe('a', { hidden: true });
  assert.deepEqual([found(), catalogue.indexed, catalogue.deadNodes, catalogue.get('a')?.slot], [[], 0, 1, slot]);
  await describe('a', {});
  await describe('b', {});
  assert.deepEqual([found(), catalogue.get('a')?.slot, catalogue.freeSlots, catalogue.deadNodes], [['a', 'b'], slot, 0, 0]);
});

test('items enter the index when they become available and leave it when they expire, by one timer', async () => {
  const { catalogue, clock, put, describe, found } = open();
  await put('later', { available_from: START + 2 * HOUR, expires_at: START + 4 * HOUR });
  await put('now', { expires_at: START + HOUR });
  await put('gone', { expires_at: START });
  await put('hidden', { hidden: true, available_from: START + HOUR });
  await put('moved', { available_from: START + HOUR });
  await describe('moved', { available_from: START + 3 * HOUR });
  assert.deepEqual(found(), ['now']);
  await clock.advance(HOUR);
  assert.deepEqual(found(), []);
  await clock.advance(HOUR);
  assert.deepEqual(found(), ['later']);
  await clock.advance(HOUR);
  assert.deepEqual(found(), ['later', 'moved']);
  await clock.advance(HOUR);
  assert.deepEqual(found(), ['moved']);
  await describe('hidden', {});
  await put('moved', { expires_at: START + 5 * HOUR }); // a new vector, a new slot
  await catalogue.remove('later');
  assert.deepEqual(found(), ['hidden', 'moved']);
  await clock.advance(HOUR);
  assert.deepEqual(found(), ['hidden']);
});

test('a filter lets through only what can be served, as time passes', async () => {
  const { catalogue, clock, put, describe } = open();
  const filter = compileFilter({ field: 'topic', eq: 'sport' }, '', () => new Set(['string'] as const));
  assert.ok(!Array.isArray(filter));
  await put('a');
  await put('b', { expires_at: START + HOUR });
  await put('c', { available_from: START + HOUR });
  const bitmap = await catalogue.filters.bitmap(filter);
  assert.equal(bitmap.count, 2);
  await clock.advance(HOUR);
  assert.equal(bitmap.count, 2); // c instead of b
  await describe('a', { hidden: true });
  assert.equal(bitmap.count, 1);
});

test('what is adopted from a snapshot is put in or out of the index as the time of the start says', async () => {
  const { catalogue, clock, found } = open();
  await catalogue.reserve(6);
  const adopt = (slot: number, given: Partial<ItemFields>, isIndexed: boolean): void => {
    const fields = { title: null, author_id: null, attributes: {}, available_from: null, expires_at: null, hidden: false, ...given };
    const itemId = `item-${slot}`;
    const row = catalogue.rows.rowOf(itemId);
    catalogue.adopt({ fields: { item_id: itemId, ...fields }, created: START, row, slot, idShare: 0 }, isIndexed);
  };
  adopt(0, {}, true);
  adopt(1, { expires_at: START - HOUR }, true); // expired since
  adopt(2, { available_from: START - HOUR }, false); // became available since
  adopt(3, { hidden: true }, false);
  adopt(4, { expires_at: START + HOUR }, false);
  await catalogue.finishAdoption(Int32Array.of(0, 1, 5), Int32Array.of(0, 1, 5));
  assert.deepEqual([found(), catalogue.freeSlots, catalogue.indexed, catalogue.deadNodes], [['item-2', 'item-4'], 1, 3, 2]);
  await clock.advance(HOUR);
  assert.deepEqual(found(), ['item-2']);
});
