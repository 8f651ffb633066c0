/**
 * The answer as a feed (the ARIA pattern of that name): one card is in the tab order, the arrow keys move between cards.
 *
 * @import * as Wire from './wire-types.js'
 * @import {RankMoves} from './rank-moves.js'
 */
import { clipCard } from './clip-card.js';
import { byId, element } from './element.js';
import { fallbackInWords, formatMs, plural, shortReasonInWords } from './format.js';

const feed = byId('clips', HTMLElement);
const note = byId('answer-note', HTMLElement);
const reasons = byId('answer-reasons', HTMLElement);
const change = byId('change', HTMLElement);
const synthetic = byId('synthetic', HTMLElement);
const moreButton = byId('more', HTMLButtonElement);
const endNote = byId('end-note', HTMLElement);
const MOVE_MS = 420;
/** The next page is fetched when the end of the feed is this close. */
const AHEAD = '400px';

/**
 * @typedef {object} Handlers
 * @property {(recommendation: Wire.Recommendation, rank: number) => void} open the explanation is asked for
 * @property {(recommendation: Wire.Recommendation, rank: number) => void} arrive the keyboard has come to a card
 * @property {(recommendation: Wire.Recommendation, type: Wire.EventType) => void} act
 * @property {(itemId: string) => void} tryIt the clip goes into a history that is made up
 * @property {() => void} more
 */

/** @type {Handlers} */
let on = { open: () => {}, arrive: () => {}, act: () => {}, tryIt: () => {}, more: () => {} };
/** What is shown, in order. @type {Wire.Recommendation[]} */
let shown = [];

const ahead = new IntersectionObserver((entries) => {
  if (entries.some((entry) => entry.isIntersecting)) on.more();
}, { rootMargin: AHEAD });

/** @param {Handlers} handlers */
export function listenToFeed(handlers) {
  on = handlers;
}

/**
 * @param {Wire.RecommendationAnswer} answer
 * @param {Wire.RecommendationRequest} request
 * @param {number} roundTripMs
 * @param {RankMoves | null} ranks compared with the answer before, when there is one
 */
export function showFeed(answer, request, roundTripMs, ranks) {
  shown = answer.items;
  replaceCards(cardsOf(answer.items, 0, ranks));
  feed.setAttribute('aria-busy', 'false');
  const total = answer.timings_ms['total'];
  note.textContent = `${plural(shown.length, 'clip')} · ${total === undefined ? '' : `${formatMs(total)} in the server, `}${formatMs(roundTripMs)} round trip`;
  synthetic.hidden = !shown.some(({ item }) => item?.attributes?.synthetic === true);
  reasons.replaceChildren();
  if (answer.fallback) reasons.append(reasonLine('fallback', answer.fallback, fallbackInWords(answer.fallback)));
  if (answer.short_reason) reasons.append(reasonLine('short_reason', answer.short_reason, shortReasonInWords(answer.short_reason, shown.length, request.k)));
  showEnd(answer);
}

/** @param {Wire.RecommendationAnswer} answer the next page */
export function appendPage(answer) {
  const first = shown.length;
  shown = [...shown, ...answer.items];
  feed.append(...cardsOf(answer.items, first, null));
  makeCurrent(cards().find(({ tabIndex }) => tabIndex === 0)); // one card is in the order of the tab key
  feed.setAttribute('aria-busy', 'false');
  note.textContent = `${plural(shown.length, 'clip')} on ${Math.ceil(shown.length / Math.max(answer.items.length, 1))} pages`;
  showEnd(answer);
}

/** @param {Wire.RecommendationAnswer} answer */
function showEnd({ next_cursor: cursor, end_reason: reason, items }) {
  moreButton.hidden = !cursor;
  // Seen anew, so that a page too short for the screen is followed by the next one.
  ahead.unobserve(moreButton);
  ahead.observe(moreButton);
  endNote.textContent = cursor || items.length === 0 && shown.length === 0 ? '' : reason === 'session_full' ? 'A session shows 5,000 clips. Ask again for a new one.' : 'That is all there is.';
}

/**
 * @param {Wire.Recommendation[]} items
 * @param {number} before cards above them
 * @param {RankMoves | null} ranks
 */
function cardsOf(items, before, ranks) {
  return items.map((recommendation, index) => {
    const rank = before + index + 1;
    return clipCard(recommendation, rank, ranks?.moves.get(recommendation.item_id), {
      open: () => on.open(recommendation, rank),
      act: (type) => on.act(recommendation, type),
    });
  });
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
  shown = [];
  feed.setAttribute('aria-busy', 'true');
  note.textContent = '';
  change.textContent = '';
  endNote.textContent = '';
  moreButton.hidden = true;
  synthetic.hidden = true;
  reasons.replaceChildren();
  feed.replaceChildren(...Array.from({ length: Math.min(count, 12) }, () =>
    element('div', { class: 'clip placeholder', 'aria-hidden': 'true' }, element('span', { class: 'face' }), ...[1, 2, 3].map(() => element('span', { class: 'line' })))));
}

/** No answer: the placeholders would promise one. */
export function clearPlaceholders() {
  feed.setAttribute('aria-busy', 'false');
  if (feed.querySelector('.placeholder')) feed.replaceChildren();
}

/** @param {boolean} busy */
export function markBusy(busy) {
  feed.setAttribute('aria-busy', String(busy));
}

/** The card that is explained. @param {string | null} itemId */
export function markExplained(itemId) {
  for (const card of cards()) {
    if (card.dataset['itemId'] === itemId) card.setAttribute('aria-current', 'true');
    else card.removeAttribute('aria-current');
  }
}

/**
 * @param {string} itemId
 * @param {boolean} sending
 */
export function markSending(itemId, sending) {
  const card = cards().find((one) => one.dataset['itemId'] === itemId);
  card?.classList.toggle('sending', sending);
  for (const action of card?.querySelectorAll('button') ?? []) action.ariaDisabled = sending ? 'true' : null;
}

/** @param {string} words */
export function announce(words) {
  change.textContent = words;
}

/**
 * @param {string} did such as 'Liked “Title”'
 * @param {string} how such as 'on disk after 2 ms'
 * @param {RankMoves | null} ranks null: there was no answer to compare with
 */
export function announceChange(did, how, ranks) {
  if (ranks === null) {
    announce(`${did}, ${how}.`);
    return;
  }
  const parts = [
    ranks.entered && `${ranks.entered} new`,
    ranks.up && `${ranks.up} up`,
    ranks.down && `${ranks.down} down`,
    ranks.left && `${ranks.left} gone`,
  ].filter(Boolean);
  announce(`${did}, ${how}. The next answer: ${parts.length > 0 ? parts.join(', ') : 'the order stayed the same'}.`);
}

/** Puts the keyboard on a card: the one that was on last, or the first. */
export function focusFeed() {
  (cards().find((card) => card.tabIndex === 0) ?? cards()[0])?.focus();
}

/** @returns {HTMLElement[]} */
function cards() {
  return [...feed.querySelectorAll('article')];
}

/**
 * Swaps the cards; those that were there before glide to their new place, and the keyboard focus stays at its rank.
 *
 * @param {HTMLElement[]} next
 */
function replaceCards(next) {
  const places = cardPlaces();
  const focused = document.activeElement;
  const focusedCard = focused instanceof HTMLElement ? focused.closest('article') : null;
  const focusedRank = focusedCard && feed.contains(focusedCard) ? cards().indexOf(focusedCard) : -1;
  const action = focused instanceof HTMLElement ? focused.dataset['action'] : undefined;

  feed.replaceChildren(...next);

  const target = next[Math.min(focusedRank, next.length - 1)];
  makeCurrent(target ?? next[0]);
  const inside = action ? target?.querySelector(`[data-action="${action}"]`) : target;
  if (inside instanceof HTMLElement) inside.focus({ preventScroll: true });
  if (places.size === 0 || matchMedia('(prefers-reduced-motion: reduce)').matches) return;
  const now = cardPlaces();
  for (const card of next) {
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
  return new Map(cards().map((card) => [card.dataset['itemId'] ?? '', card.getBoundingClientRect()]));
}

/** One card and its buttons are in the tab order. @param {HTMLElement | undefined} current */
function makeCurrent(current) {
  for (const card of cards()) {
    card.tabIndex = card === current ? 0 : -1;
    for (const inside of card.querySelectorAll('button')) inside.tabIndex = card.tabIndex;
  }
}

/**
 * @param {HTMLElement[]} all
 * @param {number} at
 * @param {string} key
 * @returns {number | undefined} where the key leads
 */
function destination(all, at, key) {
  const top = all[at]?.offsetTop;
  const columns = all.filter((card) => card.offsetTop === all[0]?.offsetTop).length;
  switch (key) {
    case 'ArrowRight': case 'PageDown': return at + 1;
    case 'ArrowLeft': case 'PageUp': return at - 1;
    case 'ArrowDown': return Math.min(at + columns, all[all.length - 1]?.offsetTop === top ? at : all.length - 1);
    case 'ArrowUp': return at - columns;
    case 'Home': return 0;
    case 'End': return all.length - 1;
    default: return undefined;
  }
}

feed.addEventListener('focusin', (event) => {
  const card = event.target instanceof Element ? event.target.closest('article') : null;
  if (!card) return;
  makeCurrent(card);
  const at = cards().indexOf(card);
  if (shown[at] && event.target === card) on.arrive(shown[at], at + 1);
});

feed.addEventListener('keydown', (event) => {
  const card = event.target instanceof Element ? event.target.closest('article') : null;
  if (!card || event.ctrlKey || event.metaKey || event.altKey) return;
  const all = cards();
  const at = all.indexOf(card);
  const recommendation = shown[at];
  const to = destination(all, at, event.key);
  if (to !== undefined) {
    event.preventDefault();
    all[to]?.focus();
    return;
  }
  /** @type {Record<string, Wire.EventType>} */
  const events = { w: 'view', l: 'like', s: 'skip' };
  const type = events[event.key.toLowerCase()];
  if (!recommendation) return;
  if (type) on.act(recommendation, type);
  else if (event.key.toLowerCase() === 'h') on.tryIt(recommendation.item_id);
  else if (event.key === 'Enter' && event.target === card) on.open(recommendation, at + 1);
  else return;
  event.preventDefault();
});

moreButton.addEventListener('click', () => on.more());
