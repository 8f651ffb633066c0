/** @import * as Wire from './wire-types.js' */
import { ApiProblem, call } from './api.js';

export const FIELDS = ['title', 'author_id', 'attributes', 'available_from'];
const HISTORY_LIMIT = 50;

/** Items seen by this page, so that a clip of the history is fetched once. @type {Map<string, Wire.Item>} */
const known = new Map();

/**
 * @param {string} itemId
 * @param {Wire.Item | undefined} item
 */
export function rememberItem(itemId, item) {
  if (item) known.set(itemId, item);
}

/**
 * @param {string} itemId
 * @returns {Wire.Item} empty when the item is not known (it may have been deleted)
 */
export function knownItem(itemId) {
  return known.get(itemId) ?? {};
}

/** @returns {[string, Wire.Item][]} every item that the page has seen, by id */
export function knownItems() {
  return [...known];
}

/** After a change of the item: what is known of it is not true any more. @param {string} itemId */
export function forgetItem(itemId) {
  known.delete(itemId);
}

/**
 * Fetches the items that are not known yet; a deleted one stays unknown.
 *
 * @param {string[]} itemIds
 */
export async function fetchItems(itemIds) {
  const missing = [...new Set(itemIds)].filter((id) => !known.has(id));
  await Promise.all(missing.map(async (id) => {
    try {
      const { body } = await call('GET', `/v1/items/${encodeURIComponent(id)}`);
      known.set(id, body);
    } catch (problem) {
      if (!(problem instanceof ApiProblem) || problem.status !== 404) throw problem;
    }
  }));
}

/**
 * @param {string} userId
 * @returns {Promise<Wire.HistoryEntry[]>} newest first; every item that still exists comes with it and is then known
 */
export async function fetchHistory(userId) {
  const { body } = await call('GET', `/v1/users/${encodeURIComponent(userId)}/history?limit=${HISTORY_LIMIT}&fields=${FIELDS.join(',')}`);
  /** @type {Wire.HistoryEntry[]} */
  const entries = body.items;
  for (const entry of entries) rememberItem(entry.item_id, entry.item);
  return entries;
}
