/** @import * as Wire from './wire-types.js' */
import { fetchItems, knownItem } from './catalogue.js';
import { idShareBar } from './clip-card.js';
import { drawCover } from './cover.js';
import { byId, element, icon, setVariable } from './element.js';
import { formatDuration, formatScore, humanise, itemReasonInWords } from './format.js';

const dialog = byId('detail', HTMLDialogElement);
const BARS = 12;

dialog.addEventListener('click', (event) => {
  if (event.target === dialog) dialog.close();
});

/**
 * Opens the explanation of one clip.
 *
 * @param {Wire.Recommendation} recommendation
 * @param {number} rank
 */
export async function showDetail(recommendation, rank) {
  const contributions = [...(recommendation.explain?.history ?? [])].sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution));
  const shown = contributions.slice(0, BARS);
  // Titles are a nicety here: without them the bars carry the ids.
  await fetchItems(shown.map((entry) => entry.item_id)).catch(() => undefined);

  const { item_id: itemId, item = {}, explain } = recommendation;
  const close = element('button', { type: 'button', class: 'button icon-only', 'aria-label': 'Close' }, icon('close'));
  close.addEventListener('click', () => dialog.close());

  dialog.replaceChildren(
    element('div', { class: 'detail-head' },
      drawCover(itemId, item, 'poster'),
      element('div', { class: 'detail-title' },
        element('p', { class: 'note' }, `Number ${rank} · score ${formatScore(recommendation.score)} · ${itemReasonInWords(recommendation.reason)}`),
        element('h2', { id: 'detail-title', dir: 'auto' }, item.title ?? itemId),
        facts(itemId, item),
        idShareBar(explain?.id_share)),
      close),
    element('section', { 'aria-labelledby': 'contributions-title' },
      element('h3', { id: 'contributions-title' }, 'What in the history speaks for it'),
      shown.length > 0
        ? element('ul', { class: 'bars' }, ...shown.map((entry) => contributionBar(entry, Math.abs(shown[0]?.contribution ?? 1))))
        : element('p', { class: 'empty' }, 'No clip of the history took part in this answer.'),
      contributions.length > shown.length ? element('p', { class: 'note' }, `${contributions.length - shown.length} smaller ones not shown`) : null),
    movedBy(explain?.moved_by ?? []),
    element('details', {},
      element('summary', {}, 'As the server sent it'),
      element('pre', { class: 'code', tabindex: 0 }, JSON.stringify(recommendation, null, 2))));
  dialog.showModal();
}

/**
 * @param {string} itemId
 * @param {Wire.Item} item
 */
function facts(itemId, item) {
  const attributes = item.attributes ?? {};
  const rows = Object.entries({
    topic: [attributes.topic, attributes.subtopic].filter(Boolean).join(' / '),
    author: item.author_id,
    language: attributes.language,
    length: formatDuration(attributes.duration_s),
    tags: attributes.tags?.join(', '),
    published: attributes.published_at?.slice(0, 10),
    id: itemId,
  });
  return element('dl', { class: 'rows' }, ...rows.flatMap(([name, value]) =>
    value ? [element('dt', {}, name), element('dd', { dir: 'auto' }, value)] : []));
}

/**
 * @param {{item_id: string, contribution: number}} entry
 * @param {number} largest the largest absolute contribution shown
 */
function contributionBar(entry, largest) {
  const item = knownItem(entry.item_id);
  const bar = element('span', { class: 'bar', 'aria-hidden': 'true' }, element('span', { class: entry.contribution < 0 ? 'part against' : 'part id' }));
  setVariable(bar, 'share', `${largest > 0 ? (Math.abs(entry.contribution) / largest) * 100 : 0}%`);
  return element('li', {},
    drawCover(entry.item_id, item, 'dot-cover'),
    element('span', { class: 'title', dir: 'auto' }, item.title ?? entry.item_id),
    element('span', { class: 'value' }, entry.contribution.toFixed(3)),
    bar);
}

/** @param {unknown[]} movers */
function movedBy(movers) {
  if (movers.length === 0) return null;
  return element('section', {},
    element('h3', {}, 'Moved by'),
    element('ul', { class: 'chips' }, ...movers.map((mover) =>
      element('li', { class: 'chip' }, typeof mover === 'string' ? humanise(mover) : JSON.stringify(mover)))));
}
