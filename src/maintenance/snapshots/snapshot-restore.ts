import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ItemInterner } from '../../domain/item-interner.js';
import type { ItemFields } from '../../domain/item.js';
import { InputError, messageOf } from '../../errors.js';
import type { ImageRestore } from '../../retrieval/embedded/generation-image.js';
import type { ItemStore, StoredItem } from '../../store/items.js';
import type { WorkerClient } from '../../threads/worker-client.js';
import { GRAPH } from './snapshot-files.js';
import type { SnapshotManifest } from './snapshot-manifest.js';
import type { SnapshotSubject } from './snapshot-subject.js';
import type { SnapshotContent } from './snapshot-worker.js';

/** Items handled in one turn of the event loop: a few milliseconds. */
const SLICE = 2048;

export interface RestoredItems {
  /** Number of items taken from the snapshot unchanged. */
  restored: number;
  /** Ids of items that have changed since, or had no vector. They must be read from the store. */
  changed: string[];
}

/**
 * Fills an empty generation: other threads load vectors and graph, while this one reads fields from the store.
 * @throws InputError when a digest of the snapshot does not match
 */
export async function restoreSnapshot(
  path: string,
  manifest: SnapshotManifest,
  subject: SnapshotSubject,
  items: Pick<ItemStore, 'list'>,
  worker: WorkerClient,
): Promise<RestoredItems> {
  const restore = await subject.image.restore(manifest.slots);
  const failed = new AbortController();
  const reading = readItems(items, restore.interner, failed.signal);
  reading.catch(() => undefined); // the error matters only when the snapshot is used
  let content: SnapshotContent;
  try {
    content = await worker.call<SnapshotContent>({ type: 'read', folder: path, manifest, chunks: [...restore.chunks] });
    await restore.loadGraph(join(path, GRAPH), content.indexed);
  } catch (error) {
    failed.abort();
    await restore.finish(); // an older snapshot, or the store, gets the slots
    throw new InputError(messageOf(error), { cause: error });
  }
  const restored = await restoreItems(restore, manifest, await reading, content);
  await restore.finish();
  subject.firstRecalls = [...(manifest.first_recalls ?? [])];
  return restored;
}

interface ReadItem {
  fields: ItemFields;
  created: number;
  index: number;
  sequence: number;
}

/** All items of the store, one slice at a time. No item is written before the catalogue is ready. */
async function readItems(items: Pick<ItemStore, 'list'>, interner: ItemInterner, signal: AbortSignal): Promise<ReadItem[]> {
  const read: ReadItem[] = [];
  let after: string | null = null;
  for (;;) {
    signal.throwIfAborted();
    const page = await items.list(after, SLICE);
    if (page.length === 0) return read;
    for (const item of page) read.push(readItem(item, interner.indexOf(item.item_id)));
    after = page.at(-1)?.item_id ?? null;
    await nextTurn();
  }
}

/** Field by field, because millions of them are made while a server starts. */
function readItem(item: StoredItem, index: number): ReadItem {
  const { item_id, title, author_id, attributes, available_from, expires_at, hidden, created_at: created, sequence } = item;
  return { fields: { item_id, title, author_id, attributes, available_from, expires_at, hidden }, created, index, sequence };
}

async function restoreItems(
  restore: ImageRestore,
  manifest: SnapshotManifest,
  read: readonly ReadItem[],
  { ids, shares }: SnapshotContent,
): Promise<RestoredItems> {
  const slots = new Int32Array(restore.interner.size).fill(-1);
  ids.split('\n').forEach((itemId, slot) => {
    const index = itemId === '' ? undefined : restore.interner.find(itemId);
    if (index !== undefined) slots[index] = slot;
  });
  const changed: string[] = [];
  let done = 0;
  for (const { fields, created, index, sequence } of read) {
    const slot = slots[index] as number; // interner.size of them
    if (slot < 0 || sequence > manifest.sequence) changed.push(fields.item_id);
    else restore.restoreItem(fields, created, index, slot, shares[slot] ?? null);
    if (++done % SLICE === 0) await nextTurn();
  }
  return { restored: read.length - changed.length, changed };
}
