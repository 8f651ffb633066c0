import { randomId } from './api.js';
import { byId, element } from './element.js';

const form = byId('request-form', HTMLFormElement);
const user = byId('user-id', HTMLInputElement);
const k = byId('k', HTMLInputElement);
const exact = byId('exact', HTMLInputElement);
const options = byId('known-users', HTMLDataListElement);
const people = byId('people', HTMLElement);
const QUICK_PICKS = 8;

/** @typedef {{userId: string, k: number, exact: boolean}} Choice */

/** @returns {Choice} what the address asks for; userId may be empty */
export function choiceOfAddress() {
  const query = new URLSearchParams(location.search);
  const asked = Number(query.get('k') ?? 20);
  return {
    userId: query.get('user') ?? '',
    k: Number.isInteger(asked) && asked >= 1 && asked <= 500 ? asked : 20,
    exact: query.get('exact') === 'true',
  };
}

/** @param {Choice} choice */
export function showChoice(choice) {
  user.value = choice.userId;
  k.value = String(choice.k);
  exact.checked = choice.exact;
  for (const button of people.querySelectorAll('button')) {
    button.setAttribute('aria-pressed', String(button.value === choice.userId));
  }
}

/**
 * Puts the choice into the address, so that it can be shared and the back button works.
 *
 * @param {Choice} choice
 * @param {'push' | 'replace'} how
 */
export function putInAddress(choice, how) {
  const query = new URLSearchParams({ user: choice.userId });
  if (choice.k !== 20) query.set('k', String(choice.k));
  if (choice.exact) query.set('exact', 'true');
  const address = `?${query}`;
  if (address === location.search) return;
  if (how === 'push') window.history.pushState(null, '', address);
  else window.history.replaceState(null, '', address);
}

/**
 * @param {{user_id: string, events?: number}[]} users
 * @param {string} current
 */
export function showUsers(users, current) {
  options.replaceChildren(...users.map(({ user_id: id, events }) => element('option', { value: id, label: events === undefined ? id : `${id} (${events} events)` })));
  people.hidden = users.length === 0;
  people.replaceChildren(...users.slice(0, QUICK_PICKS).map(({ user_id: id, events }) =>
    element('button', { type: 'button', class: 'chip', value: id, 'aria-pressed': String(id === current), 'aria-label': events === undefined ? id : `${id}, ${events} events` },
      id,
      events === undefined ? null : element('span', { class: 'count' }, String(events)))));
}

/** @returns {string} an id that no history stands under */
export function newUserId() {
  return `guest-${randomId().slice(0, 8)}`;
}

/** @param {(choice: Choice) => void} onChoice */
export function listenForChoices(onChoice) {
  const choose = (userId = user.value.trim()) => {
    if (userId) user.value = userId;
    if (form.reportValidity()) onChoice({ userId: user.value.trim(), k: k.valueAsNumber, exact: exact.checked });
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    choose();
  });
  exact.addEventListener('change', () => choose());
  k.addEventListener('change', () => choose());
  user.addEventListener('focus', () => user.select());
  people.addEventListener('click', (event) => {
    const button = event.target instanceof Element ? event.target.closest('button') : null;
    if (button) choose(button.value);
  });
  byId('new-user', HTMLButtonElement).addEventListener('click', () => choose(newUserId()));
  window.addEventListener('popstate', () => onChoice(choiceOfAddress()));
}
