/**
 * @import * as Wire from './wire-types.js'
 * @import {Move} from './rank-moves.js'
 */
import { drawCover } from './cover.js';
import { button, element, setVariable } from './element.js';
import { formatAge, formatDuration, formatPercent, formatScore, itemReasonInWords } from './format.js';

/** @type {{type: Wire.EventType, label: string, says: string}[]} */
const ACTIONS = [
  { type: 'view', label: 'Watched', says: 'Watched to the end (w)' },
  { type: 'like', label: 'Like', says: 'Like (l)' },
  { type: 'skip', label: 'Skip', says: 'Skip (s)' },
];

/**
 * @param {Wire.Recommendation} recommendation
 * @param {number} rank from 1
 * @param {Move | undefined} move undefined when there is nothing to compare with
 * @param {{open: () => void, act: (type: Wire.EventType) => void}} on
 * @returns {HTMLElement}
 */
export function clipCard(recommendation, rank, move, on) {
  const { item_id: itemId, item = {}, explain } = recommendation;
  const attributes = item.attributes ?? {};
  const title = item.title ?? itemId;
  const age = formatAge(item.available_from ?? attributes.published_at);

  const face = element('button', { type: 'button', class: 'face', 'data-action': 'open', title: 'Why is it there?' },
    drawCover(itemId, item),
    element('span', { class: 'top-line' },
      element('span', { class: 'rank' }, String(rank)),
      attributes.topic ? element('span', { class: 'topic' }, attributes.topic) : null),
    element('span', { class: 'caption' },
      element('span', { class: 'title', id: `clip-title-${rank}`, dir: 'auto' }, title),
      element('span', { class: 'author', dir: 'auto' }, attributes.author_name ?? item.author_id ?? ''),
      element('span', { class: 'length' }, [attributes.language, formatDuration(attributes.duration_s), age].filter(Boolean).join(' · '))));
  face.addEventListener('click', on.open);

  const card = element('article', { class: 'clip', tabindex: -1, 'aria-posinset': rank, 'aria-setsize': -1, 'aria-labelledby': `clip-title-${rank}` },
    face,
    moveBadge(move),
    element('div', { class: 'why' },
      element('span', { class: 'score', title: 'Score: similarity of the user vector and the fused item vector, over the temperature' }, formatScore(recommendation.score)),
      element('span', { class: 'reason' }, itemReasonInWords(recommendation.reason))),
    idShareBar(explain?.id_share),
    element('div', { class: 'actions', role: 'group', 'aria-label': `Send an event for ${title}` },
      ...ACTIONS.map(({ type, label, says }) => button(label, () => on.act(type), { icon: type, class: 'action', 'data-action': type, title: says }))));
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
 * @param {number | null | undefined} idShare 0..1
 * @returns {HTMLElement | null}
 */
export function idShareBar(idShare) {
  if (typeof idShare !== 'number') return null;
  const bar = element('span', { class: 'bar', 'aria-hidden': 'true' }, element('span', { class: 'part id' }), element('span', { class: 'part video' }));
  setVariable(bar, 'share', `${Math.round(idShare * 100)}%`);
  return element('div', { class: 'id-share', title: 'id_share: how much of the fused vector is ID embeddings, its own and those of clips like it; the rest is its video content' },
    bar,
    element('span', { class: 'ends' },
      element('span', {}, `ID ${formatPercent(idShare)}`),
      element('span', {}, `video ${formatPercent(1 - idShare)}`)));
}
