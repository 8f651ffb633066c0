/** @import * as Wire from './wire-types.js' */
import { ApiProblem, call, readMap } from './api.js';
import { forgetItem, knownItem, knownItems, rememberItem } from './catalogue.js';
import { drawCover } from './cover.js';
import { button, byId, element } from './element.js';
import { formatMs, humanise } from './format.js';
import { buildItemForm } from './item-form.js';
import { problemNote } from './problems.js';

const find = byId('find', HTMLInputElement);
const found = byId('found', HTMLElement);
const desk = byId('item', HTMLElement);
const SHOWN = 6;
const TYPING_MS = 150;
/** What an id may look like. */
const VISIBLE = /^[^\s\p{C}]{1,127}$/u;

/** @type {{tryIt: (itemId: string) => void, changed: (did: string) => void}} */
let on = { tryIt: () => {}, changed: () => {} };

/** @param {typeof on} handlers */
export function listenToItemDesk(handlers) {
  on = handlers;
  buildItemForm((receipt, isNew) => {
    void showReceipt(receipt, isNew ? 'Put' : 'Replaced');
  });
}

/** The API finds clips by id; words are searched in the sample of the map and in what the page has seen besides. @type {Promise<void> | null} */
let sample = null;

async function readSample() {
  const { points } = await readMap();
  for (const { item_id: itemId, item } of points) rememberItem(itemId, item);
}

/**
 * Any clip of the catalogue by the start of its id, and those whose words are known by any of them.
 *
 * @param {string} text
 */
async function search(text) {
  if (text === '') {
    found.replaceChildren();
    return;
  }
  sample ??= readSample().catch(() => {
    sample = null; // the next search tries again; ids are found without it
  });
  await sample;
  const wanted = text.toLowerCase();
  const seen = knownItems().filter(([itemId, { title, author_id: author, attributes = {} }]) =>
    [itemId, title, author, attributes.author_name, attributes.topic, ...(attributes.tags ?? [])].some((word) => word?.toLowerCase().includes(wanted)));
  const begun = VISIBLE.test(text) ? await beginningWith(text) : [];
  if (find.value.trim() !== text) return; // typed on meanwhile
  const ids = [...new Set([...begun, ...seen.map(([itemId]) => itemId)])].slice(0, SHOWN);
  found.replaceChildren(...(ids.length === 0
    ? [element('li', { class: 'empty' }, 'None found. Ids are searched in the whole catalogue, words in the sample that the map shows.')]
    : ids.map((itemId) => hit(itemId, knownItem(itemId)))));
}

/**
 * @param {string} text
 * @returns {Promise<string[]>} ids in their order; the items are known then
 */
async function beginningWith(text) {
  // A page begins after its cursor: just below the text, so that the id which is exactly the text is on it.
  const below = String.fromCharCode(text.charCodeAt(text.length - 1) - 1);
  const cursor = VISIBLE.test(below) ? `${text.slice(0, -1)}${below}~` : text;
  const { body } = await call('GET', `/v1/items?limit=${SHOWN}&cursor=${encodeURIComponent(cursor)}`);
  /** @type {Wire.StoredItem[]} */
  const items = body.items.filter((/** @type {Wire.StoredItem} */ { item_id: itemId }) => itemId.startsWith(text));
  for (const item of items) rememberItem(item.item_id, item);
  return items.map(({ item_id: itemId }) => itemId);
}

/**
 * @param {string} itemId
 * @param {Wire.Item} item
 */
function hit(itemId, item) {
  return element('li', {},
    drawCover(itemId, item, 'dot-cover'),
    element('span', { class: 'what' },
      element('span', { class: 'title', dir: 'auto' }, item.title ?? itemId),
      element('span', { class: 'note' }, [itemId, item.attributes?.topic].filter(Boolean).join(' · '))),
    button('', () => on.tryIt(itemId), { icon: 'try', class: 'button small icon-only', 'aria-label': `Try ${item.title ?? itemId} in a history`, title: 'Try it in a history' }),
    button('', () => void manageItem(itemId), { icon: 'show', class: 'button small icon-only', 'aria-label': `Show ${item.title ?? itemId}`, title: 'Show it' }));
}

/** Shows a clip as the store has it, with what can be done to it. @param {string} itemId */
export async function manageItem(itemId) {
  try {
    const { body } = await call('GET', `/v1/items/${encodeURIComponent(itemId)}`);
    showItem(body);
  } catch (problem) {
    desk.replaceChildren(problemNote(problem));
  }
  desk.scrollIntoView({ block: 'nearest' });
}

/**
 * @param {Wire.StoredItem} item
 * @param {string} [words] what has just been done to it
 */
function showItem(item, words = '') {
  const { item_id: itemId, state, availability, hidden } = item;
  const remove = button('Delete', () => {
    if (remove.dataset['sure'] === 'true') {
      void write('DELETE', itemId, undefined, 'Deleted');
      return;
    }
    remove.dataset['sure'] = 'true';
    remove.lastChild?.replaceWith('Delete for good?');
  }, { icon: 'remove', class: 'button small danger' });
  remove.addEventListener('blur', () => {
    remove.dataset['sure'] = 'false';
    remove.lastChild?.replaceWith('Delete');
  });
  desk.replaceChildren(element('div', { class: 'item', 'data-state': state },
    element('div', { class: 'explained' },
      drawCover(itemId, item, 'thumb'),
      element('div', { class: 'what' },
        element('span', { class: 'title', dir: 'auto' }, item.title ?? itemId),
        element('span', { class: 'note' }, itemId),
        element('span', { class: 'note' },
          element('span', { class: 'state' }, humanise(state)),
          availability === 'now' ? '' : ` ${availability}`,
          item.has_hidden_states ? ' · has hidden states' : ' · no hidden states'))),
    element('div', { class: 'row' },
      button('Try it', () => on.tryIt(itemId), { icon: 'try' }),
      hidden
        ? button('Show', () => void write('PATCH', itemId, { hidden: false }, 'Shown again'), { icon: 'show' })
        : button('Hide', () => void write('PATCH', itemId, { hidden: true }, 'Hidden'), { icon: 'hide' }),
      remove),
    element('p', { class: 'note receipt', role: 'status' }, words)));
}

/**
 * @param {'PATCH' | 'DELETE'} method
 * @param {string} itemId
 * @param {unknown} body
 * @param {string} did
 */
async function write(method, itemId, body, did) {
  try {
    const answer = await call(method, `/v1/items/${encodeURIComponent(itemId)}`, body);
    await showReceipt(answer.body, did);
  } catch (problem) {
    desk.replaceChildren(problemNote(problem));
  }
}

/**
 * @param {Wire.Receipt} receipt
 * @param {string} did
 */
async function showReceipt(receipt, did) {
  const { item_id: itemId, state, sequence, searchable_after_ms: searchable, applied_after_ms: applied } = receipt;
  const words = `${did}: ${searchable === null ? `in effect after ${formatMs(applied)}` : `searchable after ${formatMs(searchable)}`}, change ${sequence}.`;
  forgetItem(itemId);
  if (state === 'deleted') desk.replaceChildren(element('div', { class: 'item' }, element('p', { class: 'note receipt', role: 'status' }, `${itemId}: ${words}`)));
  else {
    try {
      const { body } = await call('GET', `/v1/items/${encodeURIComponent(itemId)}`);
      rememberItem(itemId, body);
      showItem(body, words);
    } catch (problem) {
      if (!(problem instanceof ApiProblem)) throw problem;
      desk.replaceChildren(problemNote(problem));
    }
  }
  desk.scrollIntoView({ block: 'nearest' });
  on.changed(`${did} ${itemId}`);
}

let typing = 0;
find.addEventListener('input', () => {
  clearTimeout(typing);
  typing = window.setTimeout(() => {
    search(find.value.trim()).catch((/** @type {unknown} */ problem) => found.replaceChildren(problemNote(problem)));
  }, TYPING_MS);
});
