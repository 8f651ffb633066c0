import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { packageFile } from '../../src/package-root.js';
import { createChangeFeed } from '../../src/store/sqlite/change-feed.js';
import { openDatabase } from '../../src/store/sqlite/database.js';
import { prepareVectorReads } from '../../src/store/sqlite/item-reads.js';
import { migrate } from '../../src/store/sqlite/migrate.js';
import { createReadGuard } from '../../src/store/sqlite/read-guard.js';
import type { WriteOperation } from '../../src/store/sqlite/write-operations.js';
import { createWriter } from '../../src/store/sqlite/writer.js';
import { randomOf } from '../random.js';
import { unwatchedHealth } from '../storage.js';
import { createReader, itemsOf, randomWrite, type Followed, type ItemWriter } from './conformance/feed-reader.js';
import { fields, item } from './conformance/stores.js';

/** The feed over a writer in this thread: a write is committed by the call, and noted when the test says so. */
function feedOf(t: TestContext, capacity: number): Followed & { items: ItemWriter; note: () => void } {
  const database = openDatabase(':memory:');
  t.after(() => database.close());
  migrate(database, packageFile('migrations', 'sqlite'));
  const write = createWriter(database);
  const health = unwatchedHealth();
  const guard = createReadGuard(health);
  const { feed, note } = createChangeFeed(database, guard, capacity);
  const notes: (() => void)[] = [];
  const run = async <Value>(operation: WriteOperation): Promise<Value> => {
    const [outcome] = write([operation]);
    assert.ok(outcome !== undefined && 'value' in outcome);
    notes.push(() => note([{ operation, value: outcome.value }]));
    return outcome.value as Value;
  };
  return {
    changes: feed,
    vectors: prepareVectorReads({ database, guard, health }),
    items: {
      put: (one) => run({ type: 'putItem', write: one }),
      updateFields: (one) => run({ type: 'updateItem', item: one }),
      delete: (itemId) => run({ type: 'deleteItem', itemId }),
    },
    note: () => {
      for (const one of notes.splice(0)) one();
    },
  };
}

test('changes in memory carry what was written; the tables do not know it, and count every change as a put', async (t) => {
  const { changes, items, note } = feedOf(t, 2);
  await items.put(item('old'));
  await items.updateFields(fields('old'));
  for (const id of ['a', 'b', 'c']) await items.put(item(id));
  note();
  assert.deepEqual(
    (await changes.since(3, 10)).map(({ kind, written }) => [kind, written?.fields.item_id]),
    [
      ['put', 'b'],
      ['put', 'c'],
    ],
  );
  assert.deepEqual((await changes.since(1, 10))[0], { sequence: 2, item_id: 'old', kind: 'put', written: null });
});

test('a page of the tables that passes a put, covered by later fields, does not leave the reader with the fields alone', async (t) => {
  const feed = feedOf(t, 2);
  await feed.items.put(item('a'));
  await feed.items.put(item('b'));
  await feed.items.put({ ...item('a'), vectors: [{ fingerprint: 'f', vector: new Float32Array([1]), id_share: 0.5 }] });
  await feed.items.put(item('c'));
  feed.note(); // changes 1 and 2 are forgotten
  await feed.items.updateFields(fields('a', { title: 'new' }));
  feed.note();
  const reader = createReader();
  await reader.readPage(feed, 2); // b and c, from the tables
  assert.deepEqual([...reader.items.keys()], ['b', 'c']);
  await reader.readAll(feed, 2);
  assert.deepEqual(reader.items, await itemsOf(feed));
});

for (const seed of Array.from({ length: 20 }, (_, n) => n)) {
  test(`readers that go between memory and tables skip nothing, also of what is committed and not yet noted (seed ${seed})`, async (t) => {
    const feed = feedOf(t, 1 + (seed % 7));
    const random = randomOf(seed);
    const readers = [createReader(), createReader(), createReader()];
    for (let n = 0; n < 300; n++) {
      await randomWrite(feed, random);
      for (const [k, reader] of readers.entries()) if (random() < 0.3 / (k + 1)) await reader.readPage(feed, 1 + Math.floor(random() * 3));
      if (random() < 0.7) feed.note();
      const reader = readers[Math.floor(random() * 30)];
      if (reader === undefined) continue;
      feed.note();
      await reader.readAll(feed, 1 + Math.floor(random() * 3));
      assert.deepEqual(reader.items, await itemsOf(feed));
    }
  });
}
