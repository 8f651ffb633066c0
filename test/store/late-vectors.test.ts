import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldsNamed, vectorOf } from '../ingest/write-side.js';
import { sqliteOf } from './sqlite-engine.js';

test('a vector is saved for an item that is as it was when it was read, and left out for one that has changed or is gone', async (t) => {
  const { items, vectors, close } = sqliteOf(t).open();
  const read = new Map<string, number>();
  for (const id of ['same', 'changed', 'deleted', 'any']) {
    const { sequence } = await items.put({ item: fieldsNamed(id, id), hiddenStates: null, vectors: [] });
    read.set(id, sequence);
  }
  await items.put({ item: fieldsNamed('changed', 'again'), hiddenStates: null, vectors: [{ fingerprint: 'm', ...vectorOf(2) }] });
  await items.delete('deleted');
  const late = ['same', 'changed', 'deleted'].map((id) => ({ item_id: id, sequence: read.get(id) ?? 0, ...vectorOf(1) }));
  await vectors.save('m', [...late, { item_id: 'any', ...vectorOf(1) }]);
  const stored = await vectors.list('m', null, 10);
  assert.deepEqual(
    stored.map(({ item_id: id, stored: vector }) => [id, vector?.vector[0]]),
    [
      ['any', 1],
      ['changed', 2],
      ['same', 1],
    ],
  );
  await close();
});
