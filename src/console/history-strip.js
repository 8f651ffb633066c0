/** @import * as Wire from './wire-types.js' */
import { knownItem } from './catalogue.js';
import { drawCover } from './cover.js';
import { byId, element } from './element.js';
import { formatAgo, humanise, plural } from './format.js';

const strip = byId('history', HTMLElement);
const note = byId('history-note', HTMLElement);

/**
 * @param {Wire.HistoryEntry[]} entries newest first
 * @param {string | null} justAdded item id that the last event was about
 */
export function showHistory(entries, justAdded) {
  if (entries.length === 0) {
    note.textContent = '';
    strip.replaceChildren(element('p', { class: 'empty' }, 'Nothing yet. Watch or like a clip below: the next answer changes.'));
    return;
  }
  note.textContent = `${plural(entries.length, 'clip')}, newest first`;
  strip.replaceChildren(element('ol', { class: 'past' }, ...entries.map((entry, index) => {
    const item = knownItem(entry.item_id);
    const isNew = index === 0 && entry.item_id === justAdded;
    return element('li', { class: isNew ? 'just-added' : '' },
      drawCover(entry.item_id, item, 'thumb'),
      element('span', { class: 'what' },
        element('span', { class: 'title', dir: 'auto' }, item.title ?? entry.item_id),
        element('span', { class: 'note' }, item.attributes?.topic ?? ''),
        element('span', { class: 'note' }, [entry.type ? humanise(entry.type) : '', formatAgo(entry.at)].filter(Boolean).join(' · '))));
  })));
  strip.scrollLeft = 0;
}
