import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matcherOf, parseFilter } from '../../../src/domain/filter.js';
import { createItemInterner } from '../../../src/domain/item-interner.js';
import type { ItemFields } from '../../../src/domain/item.js';
import { createGenerationImage } from '../../../src/retrieval/embedded/generation-image.js';
import { createItemTable } from '../../../src/retrieval/embedded/item-table.js';
import { registryOf } from '../../domain/registry-of.js';
import { manualClock } from '../../manual-clock.js';

const START = Date.parse('2026-11-24T12:00:00Z');
const HOUR = 3_600_000;

/** A table over replicas that only keep what they are told to hold. */
function open() {
  const held = new Set<number>();
  const clock = manualClock(START);
  const replicas = {
    grow: async () => undefined,
    update: async ({ add, remove }: { add: number[]; remove: number[] }) => {
      for (const slot of remove) held.delete(slot);
      for (const slot of add) held.add(slot);
    },
  };
  const interner = createItemInterner();
  const table = createItemTable({ dim: 2, normalised: true, takesFeatures: true, replicas, interner, clock });
  const { slots, membership } = table;
  const fieldsOf = (itemId: string, given: Partial<ItemFields>): ItemFields => ({
    ...{ item_id: itemId, title: null, author_id: null, attributes: { topic: 'sport' }, available_from: null, expires_at: null, hidden: false },
    ...given,
  });
  const stored = { vector: Float32Array.of(1, 2), id_share: 0.5 };
  const put = (itemId: string, given: Partial<ItemFields> = {}) =>
    table.apply([{ kind: 'put', fields: fieldsOf(itemId, given), created: START, stored }]);
  const updateFields = (itemId: string, given: Partial<ItemFields>) => table.apply([{ kind: 'fields', fields: fieldsOf(itemId, given) }]);
  const remove = (itemId: string) => table.apply([{ kind: 'delete', itemId }]);
  const found = (): string[] => [...held].map((slot) => slots.itemAt(slot)?.fields.item_id ?? '?').sort();
  const image = createGenerationImage(table, { save: async () => Int32Array.of(), load: async (_, findable) => findable }, interner);
  return { table, slots, membership, clock, put, updateFields, remove, found, fieldsOf, stored, image };
}

test('a hidden item leaves the index at once and comes back in the same slot when it is shown again', async () => {
  const { table, slots, membership, put, updateFields, found } = open();
  await put('a');
  await put('b', { hidden: true });
  const slot = table.find('a')?.slot;
  assert.deepEqual(found(), ['a']);
  await updateFields('a', { hidden: true });
  assert.deepEqual([found(), membership.findable, membership.deadNodes, table.find('a')?.slot], [[], 0, 1, slot]);
  await updateFields('a', {});
  await updateFields('b', {});
  assert.deepEqual([found(), table.find('a')?.slot, slots.free, membership.deadNodes], [['a', 'b'], slot, 0, 0]);
});

test('items enter the index when they become available and leave it when they expire, by one timer', async () => {
  const { clock, put, updateFields, remove, found } = open();
  await put('later', { available_from: START + 2 * HOUR, expires_at: START + 4 * HOUR });
  await put('now', { expires_at: START + HOUR });
  await put('gone', { expires_at: START });
  await put('hidden', { hidden: true, available_from: START + HOUR });
  await put('moved', { available_from: START + HOUR });
  await updateFields('moved', { available_from: START + 3 * HOUR });
  assert.deepEqual(found(), ['now']);
  await clock.advance(HOUR);
  assert.deepEqual(found(), []);
  await clock.advance(HOUR);
  assert.deepEqual(found(), ['later']);
  await clock.advance(HOUR);
  assert.deepEqual(found(), ['later', 'moved']);
  await clock.advance(HOUR);
  assert.deepEqual(found(), ['moved']);
  await updateFields('hidden', {});
  await put('moved', { expires_at: START + 5 * HOUR }); // a new vector, a new slot
  await remove('later');
  assert.deepEqual(found(), ['hidden', 'moved']);
  await clock.advance(HOUR);
  assert.deepEqual(found(), ['hidden']);
});

test('a filter lets through only what can be served, as time passes', async () => {
  const { membership, clock, put, updateFields } = open();
  const filter = parseFilter({ field: 'topic', eq: 'sport' }, '', registryOf([{ topic: 'sport' }]));
  assert.ok(!Array.isArray(filter));
  await put('a');
  await put('b', { expires_at: START + HOUR });
  await put('c', { available_from: START + HOUR });
  const bitmap = await membership.filters.bitmap({ key: filter.key, matches: matcherOf(filter.filter) });
  assert.equal(bitmap.count, 2);
  await clock.advance(HOUR);
  assert.equal(bitmap.count, 2); // c instead of b
  await updateFields('a', { hidden: true });
  assert.equal(bitmap.count, 1);
});

test('what is restored from a snapshot is put in or out of the index as the time of the start says', async () => {
  const { slots, membership, clock, found, image } = open();
  const restore = await image.restore(6);
  await restore.loadGraph('graph', Int32Array.of(0, 1, 5));
  const restoreItem = (slot: number, given: Partial<ItemFields>): void => {
    const fields = { title: null, author_id: null, attributes: {}, available_from: null, expires_at: null, hidden: false, ...given };
    const itemId = `item-${slot}`;
    restore.restoreItem({ item_id: itemId, ...fields }, START, restore.interner.indexOf(itemId), slot, 0);
  };
  restoreItem(0, {});
  restoreItem(1, { expires_at: START - HOUR }); // expired since
  restoreItem(2, { available_from: START - HOUR }); // became available since
  restoreItem(3, { hidden: true });
  restoreItem(4, { expires_at: START + HOUR });
  await restore.finish();
  assert.deepEqual([found(), slots.free, membership.findable, membership.deadNodes], [['item-2', 'item-4'], 1, 3, 2]);
  await clock.advance(HOUR);
  assert.deepEqual(found(), ['item-2']);
});

test('one batch of changes leaves what its last change of each item says', async () => {
  const { table, slots, fieldsOf, stored, found } = open();
  const { unknown } = await table.apply([
    { kind: 'put', fields: fieldsOf('a', {}), created: START, stored },
    { kind: 'put', fields: fieldsOf('b', {}), created: START, stored },
    { kind: 'fields', fields: fieldsOf('b', { hidden: true }) },
    { kind: 'put', fields: fieldsOf('c', {}), created: START, stored },
    { kind: 'delete', itemId: 'a' },
    { kind: 'put', fields: fieldsOf('c', {}), created: START, stored },
    { kind: 'fields', fields: fieldsOf('stranger', {}) },
    { kind: 'delete', itemId: 'stranger' },
  ]);
  assert.deepEqual([unknown, found(), table.size, slots.free], [['stranger'], ['c'], 2, 2]);
  await table.apply([
    { kind: 'fields', fields: fieldsOf('b', {}) },
    { kind: 'put', fields: fieldsOf('c', {}), created: START, stored: null },
  ]);
  assert.deepEqual([found(), table.find('c')?.slot, slots.slotOf(table.find('b')?.index ?? -1) >= 0], [['b'], null, true]);
});
