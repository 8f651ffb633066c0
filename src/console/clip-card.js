/**
 * @import * as Wire from './wire-types.js'
 * @import {Move} from './rank-moves.js'
 */
import { drawCover } from './cover.js';
import { element, icon, setVariable } from './element.js';
import { formatDuration, formatPercent, formatScore, itemReasonInWords } from './format.js';

/** @type {{type: Wire.EventType, label: string, says: string}[]} */
const ACTIONS = [
  { type: 'view', label: 'Watched', says: 'Watched to the end' },
  { type: 'like', label: 'Like', says: 'Like' },
  { type: 'skip', label: 'Skip', says: 'Skip' },
];

/**
 * @param {Wire.Recommendation} recommendation
 * @param {number} rank from 1
 * @param {Move | undefined} move undefined when there is nothing to compare with
 * @param {{open: () => void, act: (type: Wire.EventType) => void}} on
 * @returns {HTMLLIElement}
 */
export function clipCard(recommendation, rank, move, on) {
  const { item_id: itemId, item = {} } = recommendation;
  const title = item.title ?? itemId;
  const topic = item.attributes?.topic;

  const face = element('button', { type: 'button', class: 'face', 'data-action': 'open', 'aria-label': `${title}. Why is it number ${rank}?` },
    drawCover(itemId, item),
    element('span', { class: 'top-line' },
      element('span', { class: 'rank' }, String(rank)),
      topic ? element('span', { class: 'topic' }, topic) : null),
    element('span', { class: 'caption' },
      element('span', { class: 'title', dir: 'auto' }, title),
      element('span', { class: 'by' },
        element('span', { class: 'author', dir: 'auto' }, item.author_id ?? ''),
        element('span', { class: 'length' }, [item.attributes?.language, formatDuration(item.attributes?.duration_s)].filter(Boolean).join(' · ')))));
  face.addEventListener('click', on.open);

  const actions = element('div', { class: 'actions', role: 'group', 'aria-label': `Send an event for ${title}` });
  for (const { type, label, says } of ACTIONS) {
    const button = element('button', { type: 'button', class: 'action', 'data-action': type, 'aria-label': `${says}: ${title}`, title: says }, icon(type), label);
    button.addEventListener('click', () => on.act(type));
    actions.append(button);
  }

  const badge = moveBadge(move);
  const card = element('li', { class: 'clip' },
    face,
    badge,
    element('div', { class: 'why' },
      element('span', { class: 'score', title: 'Score: similarity of the user vector and the fused item vector' }, formatScore(recommendation.score)),
      element('span', { class: 'reason' }, itemReasonInWords(recommendation.reason))),
    idShareBar(recommendation.explain?.id_share),
    actions);
  card.dataset['itemId'] = itemId;
  if (move && move.kind !== 'same') card.dataset['move'] = move.kind;
  return card;
}

/** @param {Move | undefined} move */
function moveBadge(move) {
  if (!move || move.kind === 'same') return null;
  if (move.kind === 'new') return element('span', { class: 'move', 'data-kind': 'new' }, 'new');
  const words = `${move.kind} ${move.by} ${move.by === 1 ? 'place' : 'places'}`;
  return element('span', { class: 'move', 'data-kind': move.kind, title: words },
    element('span', { 'aria-hidden': 'true' }, `${move.kind === 'up' ? '▲' : '▼'} ${move.by}`),
    element('span', { class: 'visually-hidden' }, words));
}

/**
 * How much of the fused vector comes from the ID embedding; the rest is video content.
 *
 * @param {number | undefined} idShare 0..1
 * @returns {HTMLElement | null}
 */
export function idShareBar(idShare) {
  if (typeof idShare !== 'number') return null;
  const bar = element('span', { class: 'bar', 'aria-hidden': 'true' }, element('span', { class: 'part id' }), element('span', { class: 'part video' }));
  setVariable(bar, 'share', formatPercent(idShare).replace(' ', ''));
  return element('div', { class: 'id-share', title: 'id_share: how much of the fused vector is ID embedding, the rest is video content' },
    bar,
    element('span', { class: 'ends' },
      element('span', {}, `ID ${formatPercent(idShare)}`),
      element('span', {}, `video ${formatPercent(1 - idShare)}`)));
}
