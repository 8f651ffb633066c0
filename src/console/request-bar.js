import { listUsers, randomId } from './api.js';
import { byId, element } from './element.js';
import { showProblem } from './problems.js';

const form = byId('request-form', HTMLFormElement);
const user = byId('user-id', HTMLInputElement);
const k = byId('k', HTMLInputElement);
const exact = byId('exact', HTMLInputElement);
const forUser = byId('for-user', HTMLInputElement);
const forClips = byId('for-clips', HTMLInputElement);
const options = byId('known-users', HTMLDataListElement);
const people = byId('people', HTMLElement);
const QUICK_PICKS = 8;
const SUGGESTIONS = 12;
const TYPING_MS = 150;
/** Until users have been asked for there is room for them, or the page would jump when they come. */
let areNoneKnown = false;

/**
 * What is asked for. With `clips` there is no user: the history is made up here and stored nowhere.
 *
 * @typedef {{userId: string, clips: Clips | null, k: number, exact: boolean}} Choice
 * @typedef {{history: string[], disliked: string[]}} Clips item ids, oldest first
 */

/** @returns {Choice} what the address asks for; userId may be empty */
export function choiceOfAddress() {
  const query = new URLSearchParams(location.search);
  const asked = Number(query.get('k') ?? 20);
  return {
    userId: query.get('user') ?? '',
    clips: query.has('clips') ? { history: query.getAll('clip'), disliked: query.getAll('not') } : null,
    k: Number.isInteger(asked) && asked >= 1 && asked <= 500 ? asked : 20,
    exact: query.get('exact') === 'true',
  };
}

/** @param {Choice} choice */
export function showChoice(choice) {
  user.value = choice.userId;
  user.required = choice.clips === null; // a field that is not shown would hold the form up
  k.value = String(choice.k);
  exact.checked = choice.exact;
  forUser.checked = choice.clips === null;
  forClips.checked = choice.clips !== null;
  byId('user-field', HTMLElement).hidden = choice.clips !== null;
  byId('new-user', HTMLElement).hidden = choice.clips !== null;
  byId('what-if', HTMLElement).hidden = choice.clips === null;
  people.hidden = choice.clips !== null || areNoneKnown;
  for (const chip of people.querySelectorAll('button')) chip.setAttribute('aria-pressed', String(chip.value === choice.userId));
}

/**
 * Puts the choice into the address, so that it can be shared and the back button works.
 *
 * @param {Choice} choice
 * @param {'push' | 'replace'} how
 */
export function putInAddress(choice, how) {
  const query = new URLSearchParams(choice.clips === null ? { user: choice.userId } : { clips: '' });
  for (const itemId of choice.clips?.history ?? []) query.append('clip', itemId);
  for (const itemId of choice.clips?.disliked ?? []) query.append('not', itemId);
  if (choice.k !== 20) query.set('k', String(choice.k));
  if (choice.exact) query.set('exact', 'true');
  const address = `?${query}`;
  if (address === location.search) return;
  if (how === 'push') window.history.pushState(null, '', address);
  else window.history.replaceState(null, '', address);
}

/**
 * @param {{user_id: string, events: number}[]} users
 * @param {Choice} choice
 */
export function showUsers(users, choice) {
  suggest(users);
  areNoneKnown = users.length === 0;
  people.hidden = areNoneKnown || choice.clips !== null;
  people.replaceChildren(...users.slice(0, QUICK_PICKS).map(({ user_id: id, events }) =>
    element('button', { type: 'button', class: 'chip', value: id, 'aria-pressed': String(id === choice.userId) },
      id,
      element('span', { class: 'count', title: `${events} events` }, String(events)))));
}

/** @param {{user_id: string, events: number}[]} users */
function suggest(users) {
  options.replaceChildren(...users.map(({ user_id: id, events }) => element('option', { value: id, label: `${id} (${events} events)` })));
}

/** @returns {string} an id that no history stands under */
export function newUserId() {
  return `guest-${randomId().slice(0, 8)}`;
}

export function focusUser() {
  (forClips.checked ? forClips : user).focus();
}

/**
 * @param {() => Choice} current
 * @param {(choice: Choice) => void} onChoice
 */
export function listenForChoices(current, onChoice) {
  const choose = (userId = user.value.trim()) => {
    if (userId) user.value = userId;
    if (!forClips.checked && !form.reportValidity()) return;
    onChoice({
      userId: user.value.trim(),
      clips: forClips.checked ? (current().clips ?? { history: [], disliked: [] }) : null,
      k: k.valueAsNumber || 20,
      exact: exact.checked,
    });
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    choose();
  });
  for (const input of [exact, k, forClips]) input.addEventListener('change', () => choose());
  forUser.addEventListener('change', () => choose(user.value.trim() || people.querySelector('button')?.value || newUserId()));
  user.addEventListener('focus', () => user.select());
  let typing = 0;
  user.addEventListener('input', () => {
    clearTimeout(typing);
    typing = window.setTimeout(() => {
      listUsers(user.value.trim(), SUGGESTIONS).then(suggest, showProblem);
    }, TYPING_MS);
  });
  people.addEventListener('click', (event) => {
    const chip = event.target instanceof Element ? event.target.closest('button') : null;
    if (chip) choose(chip.value);
  });
  byId('new-user', HTMLButtonElement).addEventListener('click', () => choose(newUserId()));
  window.addEventListener('popstate', () => onChoice(choiceOfAddress()));
}
