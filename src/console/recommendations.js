/**
 * @import * as Wire from './wire-types.js'
 * @import {RankMoves} from './rank-moves.js'
 */
import { clipCard } from './clip-card.js';
import { byId, element } from './element.js';
import { fallbackInWords, formatMs, plural, shortReasonInWords } from './format.js';

const list = byId('clips', HTMLOListElement);
const note = byId('answer-note', HTMLElement);
const reasons = byId('answer-reasons', HTMLElement);
const change = byId('change', HTMLElement);
const synthetic = byId('synthetic', HTMLElement);
const MOVE_MS = 420;

/**
 * @param {Wire.RecommendationAnswer} answer
 * @param {Wire.RecommendationRequest} request
 * @param {number} roundTripMs
 * @param {RankMoves | null} ranks compared with the answer before, when there is one
 * @param {{open: (recommendation: Wire.Recommendation, rank: number) => void, act: (recommendation: Wire.Recommendation, type: Wire.EventType) => void}} on
 */
export function showRecommendations(answer, request, roundTripMs, ranks, on) {
  const cards = answer.items.map((recommendation, index) => clipCard(
    recommendation,
    index + 1,
    ranks?.moves.get(recommendation.item_id),
    { open: () => on.open(recommendation, index + 1), act: (type) => on.act(recommendation, type) },
  ));
  replaceCards(cards);
  list.setAttribute('aria-busy', 'false');

  const total = answer.timings_ms?.['total'];
  const served = total === undefined ? '' : `${formatMs(total)} in the server, `;
  note.textContent = `${plural(answer.items.length, 'clip')} · ${served}${formatMs(roundTripMs)} round trip`;
  synthetic.hidden = !answer.items.some(({ item }) => item?.attributes?.synthetic === true);

  reasons.replaceChildren();
  if (answer.fallback) reasons.append(reasonLine('fallback', answer.fallback, fallbackInWords(answer.fallback)));
  if (answer.short_reason) {
    reasons.append(reasonLine('short_reason', answer.short_reason, shortReasonInWords(answer.short_reason, answer.items.length, request.k)));
  }
}

/**
 * @param {string} name
 * @param {string} code
 * @param {string} words
 */
function reasonLine(name, code, words) {
  return element('p', { class: 'reason-line' }, element('span', {}, words), element('code', {}, `${name}: ${code}`));
}

/** Placeholders for the first answer of a user. @param {number} count */
export function showPlaceholders(count) {
  list.setAttribute('aria-busy', 'true');
  note.textContent = '';
  change.textContent = '';
  synthetic.hidden = true;
  reasons.replaceChildren();
  list.replaceChildren(...Array.from({ length: Math.min(count, 12) }, () =>
    element('li', { class: 'clip placeholder', 'aria-hidden': 'true' }, element('span', { class: 'face' }), element('span', { class: 'line' }), element('span', { class: 'line' }))));
}

/** No answer: the placeholders would promise one. */
export function clearPlaceholders() {
  list.setAttribute('aria-busy', 'false');
  if (list.querySelector('.placeholder')) list.replaceChildren();
}

/** @param {boolean} busy */
export function markBusy(busy) {
  list.setAttribute('aria-busy', String(busy));
}

/**
 * @param {string} itemId
 * @param {boolean} sending
 */
export function markSending(itemId, sending) {
  for (const card of list.children) {
    if (!(card instanceof HTMLElement) || card.dataset['itemId'] !== itemId) continue;
    card.classList.toggle('sending', sending);
    for (const button of card.querySelectorAll('button')) button.ariaDisabled = sending ? 'true' : null;
  }
}

/** @param {string} words */
export function announce(words) {
  change.textContent = words;
}

/**
 * @param {string} did such as 'Liked “Title”'
 * @param {number} ackMs
 * @param {RankMoves | null} ranks
 */
export function announceChange(did, ackMs, ranks) {
  const parts = ranks === null ? [] : [
    ranks.entered && `${ranks.entered} new`,
    ranks.up && `${ranks.up} up`,
    ranks.down && `${ranks.down} down`,
    ranks.left && `${ranks.left} gone`,
  ].filter(Boolean);
  const effect = parts.length > 0 ? parts.join(', ') : 'the order stayed the same';
  announce(`${did}. On disk after ${formatMs(ackMs)}; the next answer: ${effect}.`);
}

/**
 * Swaps the cards; those that were there before glide to their new place, and the keyboard focus stays at its rank.
 *
 * @param {HTMLLIElement[]} cards
 */
function replaceCards(cards) {
  const places = cardPlaces();
  const focused = document.activeElement;
  const focusedCard = focused instanceof HTMLElement && list.contains(focused) ? focused.closest('li') : null;
  const focusedRank = focusedCard ? [...list.children].indexOf(focusedCard) : -1;
  const action = focusedCard && focused instanceof HTMLElement ? focused.dataset['action'] : undefined;

  list.replaceChildren(...cards);

  const target = cards[Math.min(focusedRank, cards.length - 1)]?.querySelector(`[data-action="${action}"]`);
  if (target instanceof HTMLElement) target.focus({ preventScroll: true });
  if (places.size === 0 || matchMedia('(prefers-reduced-motion: reduce)').matches) return;
  const now = cardPlaces();
  for (const card of cards) {
    const id = card.dataset['itemId'] ?? '';
    const from = places.get(id);
    const to = now.get(id);
    if (!to) continue;
    const start = from
      ? { transform: `translate(${from.left - to.left}px, ${from.top - to.top}px)` }
      : { transform: 'scale(.92)', opacity: 0 };
    card.animate([start, { transform: 'none', opacity: 1 }], { duration: MOVE_MS, easing: 'cubic-bezier(.2, .8, .2, 1)' });
  }
}

/** @returns {Map<string, DOMRect>} by item id */
function cardPlaces() {
  /** @type {Map<string, DOMRect>} */
  const places = new Map();
  for (const card of list.children) {
    const id = card instanceof HTMLElement ? card.dataset['itemId'] : undefined;
    if (id) places.set(id, card.getBoundingClientRect());
  }
  return places;
}
