/** @import * as Wire from './wire-types.js' */
import { ApiProblem, call } from './api.js';

const FIELDS = 'title,author_id,attributes';
const HISTORY_LIMIT = 30;

/** Items seen by this page, so that a clip of the history is fetched once. @type {Map<string, Wire.Item>} */
const known = new Map();
let historyTakesFields = true;

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
 * @returns {Promise<Wire.HistoryEntry[]>} newest first; every item that still exists is then known
 */
export async function fetchHistory(userId) {
  const entries = await readHistory(userId);
  for (const entry of entries) rememberItem(entry.item_id, entry.item);
  await fetchItems(entries.map((entry) => entry.item_id));
  return entries;
}

/**
 * @param {string} userId
 * @returns {Promise<Wire.HistoryEntry[]>}
 */
async function readHistory(userId) {
  const path = `/v1/users/${encodeURIComponent(userId)}/history?limit=${HISTORY_LIMIT}`;
  try {
    const { body } = await call('GET', historyTakesFields ? `${path}&fields=${FIELDS}` : path);
    return Array.isArray(body.items) ? body.items : [];
  } catch (problem) {
    if (!(problem instanceof ApiProblem)) throw problem;
    if (problem.status === 404) return [];
    if (historyTakesFields && (problem.status === 400 || problem.status === 422)) {
      historyTakesFields = false;
      return readHistory(userId);
    }
    throw problem;
  }
}
