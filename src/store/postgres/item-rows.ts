import type { StoredItem } from '../items.js';

/** An item as it stands in its table. */
export interface ItemRow {
  item_id: string;
  title: string | null;
  author_id: string | null;
  attributes: string;
  available_from: number | null;
  expires_at: number | null;
  hidden: boolean;
  created_at: number;
  updated_at: number;
  sequence: number;
}

export const ITEM_COLUMNS =
  'i.item_id, i.title, i.author_id, i.attributes, i.available_from, i.expires_at, i.hidden, i.created_at, i.updated_at, i.sequence';

export const toItem = (row: ItemRow): StoredItem => ({
  item_id: row.item_id,
  title: row.title,
  author_id: row.author_id,
  attributes: JSON.parse(row.attributes) as Record<string, unknown>, // written by this program only
  available_from: row.available_from,
  expires_at: row.expires_at,
  hidden: row.hidden,
  created_at: row.created_at,
  updated_at: row.updated_at,
  sequence: row.sequence,
});
