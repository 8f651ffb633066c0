/**
 * @import * as Wire from './wire-types.js'
 * @import {Clips} from './request-bar.js'
 */
import { knownItem } from './catalogue.js';
import { drawCover } from './cover.js';
import { button, byId, element } from './element.js';
import { formatAgo, humanise, plural } from './format.js';

const strip = byId('history', HTMLElement);
const note = byId('history-note', HTMLElement);

/**
 * @param {Wire.HistoryEntry[]} entries newest first
 * @param {string | null} justAdded item id that the last event was about
 */
export function showHistory(entries, justAdded) {
  note.textContent = entries.length === 0 ? '' : `${plural(entries.length, 'clip')}, newest first`;
  if (entries.length === 0) {
    strip.replaceChildren(element('p', { class: 'empty' }, 'Nothing yet. Watch or like a clip below: the next answer changes.'));
    return;
  }
  show(entries.map((entry, index) => past(entry.item_id,
    [entry.type ? humanise(entry.type) : '', formatAgo(entry.at)].filter(Boolean).join(' · '),
    index === 0 && entry.item_id === justAdded ? 'just-added' : '')));
}

/**
 * A history that is made up on the page.
 *
 * @param {Clips} clips
 * @param {string | null} justAdded
 * @param {(itemId: string) => void} remove
 */
export function showClips({ history, disliked }, justAdded, remove) {
  const clear = history.length + disliked.length === 0 ? null : button('Clear', () => remove('*'));
  note.replaceChildren(
    [history.length ? plural(history.length, 'clip') : '', disliked.length ? `${disliked.length} to move away from` : ''].filter(Boolean).join(', '),
    ...(clear ? [' ', clear] : []));
  if (!clear) {
    strip.replaceChildren(element('p', { class: 'empty' }, 'Choose clips: Watched or Like on a card, a point of the map, or a search under Clips.'));
    return;
  }
  /** @param {string} itemId @param {string} words @param {string} className */
  const removable = (itemId, words, className) => {
    const made = past(itemId, words, `${className} ${itemId === justAdded ? 'just-added' : ''}`);
    made.append(button('', () => remove(itemId), { icon: 'close', class: 'remove', 'aria-label': `Remove ${knownItem(itemId).title ?? itemId}` }));
    return made;
  };
  show([
    ...disliked.map((itemId) => removable(itemId, 'moves away from it', 'against')).reverse(),
    ...history.map((itemId, at) => removable(itemId, at === history.length - 1 ? 'newest' : `${history.length - at} back`, '')).reverse(),
  ]);
}

/** @param {HTMLLIElement[]} clips */
function show(clips) {
  strip.replaceChildren(element('ol', { class: 'past' }, ...clips));
  strip.scrollLeft = 0;
}

/**
 * @param {string} itemId
 * @param {string} words
 * @param {string} className
 */
function past(itemId, words, className) {
  const item = knownItem(itemId);
  return element('li', { class: className },
    drawCover(itemId, item, 'thumb'),
    element('span', { class: 'what' },
      element('span', { class: 'title', dir: 'auto' }, item.title ?? itemId),
      element('span', { class: 'note' }, item.attributes?.topic ?? ''),
      element('span', { class: 'note' }, words)));
}
