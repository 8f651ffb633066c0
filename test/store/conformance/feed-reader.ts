import assert from 'node:assert/strict';
import type { ChangeFeed, ItemChange } from '../../../src/store/changes.js';
import type { ItemStore } from '../../../src/store/items.js';
import type { VectorStore } from '../../../src/store/vectors.js';
import { fields, vector } from './stores.js';

export type ItemWriter = Pick<ItemStore, 'put' | 'updateFields' | 'delete'>;

export interface Followed {
  changes: Pick<ChangeFeed, 'since' | 'itemSequence'>;
  vectors: Pick<VectorStore, 'list' | 'getMany'>;
}

/** What a reader keeps of an item: its title, and the id share of its vector in place of all that a put brings. */
type Kept = [title: string | null, idShare: number | null];

const IDS = ['a', 'b', 'c', 'd', 'e', 'f'];
const FINGERPRINT = 'f';

/** A put, a change of fields or a delete of one of few items. */
export async function randomWrite({ items }: { items: ItemWriter }, random: () => number): Promise<void> {
  const id = IDS[Math.floor(random() * IDS.length)] ?? '';
  const change = fields(id, { title: String(random()) });
  const kind = random();
  if (kind < 0.4)
    await items.put({ item: change, hiddenStates: null, vectors: [{ fingerprint: FINGERPRINT, vector: vector(1), id_share: random() }] });
  else if (kind < 0.8) await items.updateFields(change);
  else await items.delete(id);
}

/** What a reader should have in the end. */
export async function itemsOf({ vectors }: Pick<Followed, 'vectors'>): Promise<Map<string, Kept>> {
  const rows = await vectors.list(FINGERPRINT, null, 100);
  return new Map(rows.map(({ item_id: id, title, stored }): [string, Kept] => [id, [title, stored?.id_share ?? null]]));
}

export interface Reader {
  items: ReadonlyMap<string, Kept>;
  /** @returns how many changes there were */
  readPage(stores: Followed, limit: number): Promise<number>;
  /** Reads until nothing is left. */
  readAll(stores: Followed, limit: number): Promise<void>;
}

/** Follows the feed as an index does: of a change of fields it does not look at vectors. */
export function createReader(): Reader {
  const items = new Map<string, Kept>();
  let position = 0;
  const apply = async ({ vectors }: Followed, { item_id: id, kind, written }: ItemChange): Promise<void> => {
    if (kind === 'delete') {
      items.delete(id);
      return;
    }
    const [row] = written === null ? await vectors.getMany(FINGERPRINT, [id]) : [];
    const title = written?.fields.title ?? row?.title;
    if (title === undefined) return; // deleted meanwhile: that comes later
    const share = kind === 'fields' ? items.get(id)?.[1] : written === null ? row?.stored?.id_share : written.vectors[0]?.id_share;
    items.set(id, [title, share ?? null]);
  };
  const readPage = async (stores: Followed, limit: number): Promise<number> => {
    const page = await stores.changes.since(position, limit);
    assert.ok(page.length <= limit);
    assert.equal(new Set(page.map(({ item_id: id }) => id)).size, page.length);
    for (const change of page) {
      assert.ok(change.sequence > position);
      position = change.sequence;
      await apply(stores, change);
    }
    return page.length;
  };
  return {
    items,
    readPage,
    readAll: async (stores: Followed, limit: number): Promise<void> => {
      while ((await readPage(stores, limit)) > 0);
      assert.equal(position, stores.changes.itemSequence);
    },
  };
}
