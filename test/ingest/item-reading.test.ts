import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ItemState } from '../../src/domain/item.js';
import { listItems, readItem, type ItemReadingSetup } from '../../src/ingest/item-reading.js';
import type { StoredItem } from '../../src/store/items.js';
import { fieldsNamed } from './write-side.js';

const stored = (itemId: string, until: number | null = null): StoredItem => ({
  ...fieldsNamed(itemId, itemId),
  expires_at: until,
  created_at: 1,
  updated_at: 1,
  sequence: 1,
});

function open(items: StoredItem[], states: Record<string, ItemState>) {
  let pages = 0;
  const setup: ItemReadingSetup = {
    items: {
      get: async (id) => items.find(({ item_id: itemId }) => itemId === id) ?? null,
      list: async (after, limit) => {
        pages++;
        return items.filter(({ item_id: id }) => after === null || id > after).slice(0, limit);
      },
      withHiddenStates: async (ids) => new Set(ids.filter((id) => id === 'a')),
    },
    describe: async (ids) => ids.map((id) => ({ state: states[id] ?? 'stored', hasVector: false, model: { fingerprint: 'm', version: '1' } })),
  };
  return { setup, pages: () => pages };
}

test('an item is read as the store has it, with its state, availability and whether it has hidden states', async () => {
  const { setup } = open([stored('a', 5), stored('b')], { a: 'searchable' });
  const a = await readItem('a', setup);
  assert.deepEqual([a?.item.item_id, a?.state, a?.availability, a?.hasHiddenStates], ['a', 'searchable', 'expired', true]);
  const b = await readItem('b', setup);
  assert.deepEqual([b?.state, b?.availability, b?.hasHiddenStates], ['stored', 'now', false]);
  assert.equal(await readItem('c', setup), null);
});

test('a page of rare items goes through as many pages of the store as it takes, and says where the next one begins', async () => {
  const ids = Array.from({ length: 20 }, (_, n) => `item-${String(n).padStart(2, '0')}`);
  const { setup, pages } = open(
    ids.map((id) => stored(id)),
    { 'item-05': 'hidden', 'item-13': 'hidden', 'item-19': 'hidden' },
  );
  const query = { limit: 2, state: 'hidden', availability: undefined } as const;
  const first = await listItems({ ...query, after: null }, setup);
  assert.deepEqual([first.items.map(({ item }) => item.item_id), first.next], [['item-05', 'item-13'], 'item-13']);
  assert.equal(pages(), 7);
  const second = await listItems({ ...query, after: first.next }, setup);
  assert.deepEqual([second.items.map(({ item }) => item.item_id), second.next], [['item-19'], null]);
  assert.deepEqual(await listItems({ ...query, after: null, availability: 'expired' }, setup), { items: [], next: null });
});
