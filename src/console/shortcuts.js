import { byId, button, element } from './element.js';

const dialog = byId('shortcuts', HTMLDialogElement);
const KEY = 'reelfuse-single-keys';
const TABS = ['why', 'map', 'request', 'model', 'clips'];

/** @type {[keys: string, does: string][]} */
const ANYWHERE = [
  ['/', 'the user field'],
  ['f', 'the feed'],
  ['1 … 5', 'Why, Map, Speed, Model, Clips'],
  ['r', 'ask again'],
  ['m', 'more clips'],
  ['t', 'light or dark'],
  ['?', 'this list'],
];
/** @type {[keys: string, does: string][]} */
const ON_A_CARD = [
  ['← → ↑ ↓', 'the card beside, above, below'],
  ['Home End', 'the first, the last card'],
  ['Enter', 'why it is there'],
  ['w', 'watched to the end'],
  ['l', 'like'],
  ['s', 'skip'],
  ['h', 'try it in a history of your own'],
];

/** Speech input and slips of the hand can switch them off (WCAG 2.1.4). */
function areOn() {
  try {
    return localStorage.getItem(KEY) !== 'off';
  } catch {
    return true;
  }
}

/** @param {boolean} wanted */
function setOn(wanted) {
  try {
    localStorage.setItem(KEY, wanted ? 'on' : 'off');
  } catch {
    // without storage they stay on
  }
}

/** @param {{focusUser: () => void, focusFeed: () => void, showTab: (name: string) => void, more: () => void, refresh: () => void, switchTheme: () => void}} on */
export function listenForShortcuts(on) {
  /** @type {Record<string, () => void>} */
  const actions = { '/': on.focusUser, f: on.focusFeed, r: on.refresh, m: on.more, t: on.switchTheme, '?': show };
  TABS.forEach((tab, index) => {
    actions[String(index + 1)] = () => on.showTab(tab);
  });
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || dialog.open || !areOn()) return;
    if (event.target instanceof Element && event.target.closest('input:not([type="checkbox"], [type="radio"]), textarea, select')) return;
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
  byId('show-shortcuts', HTMLButtonElement).addEventListener('click', show);
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close();
  });
}

function show() {
  const isOn = element('input', { type: 'checkbox', role: 'switch', checked: areOn() });
  isOn.addEventListener('change', () => setOn(isOn.checked));
  dialog.replaceChildren(
    element('div', { class: 'heading' },
      element('h2', { id: 'shortcuts-title' }, 'Keyboard'),
      button('', () => dialog.close(), { icon: 'close', class: 'button icon-only', 'aria-label': 'Close' })),
    table('Anywhere', ANYWHERE),
    table('On a card of the feed', ON_A_CARD),
    table('On the map', [['← → ↑ ↓', 'the nearest clip there'], ['Enter', 'try it in a history']]),
    element('label', { class: 'switch' }, isOn, element('span', { class: 'track', 'aria-hidden': 'true' }), 'Single keys anywhere'));
  dialog.showModal();
}

/**
 * @param {string} title
 * @param {[string, string][]} rows
 */
function table(title, rows) {
  return element('section', {},
    element('h3', {}, title),
    element('dl', { class: 'keys' }, ...rows.flatMap(([keys, does]) => [
      element('dt', {}, ...keys.split(' ').map((key) => (key === '…' ? key : element('kbd', {}, key)))),
      element('dd', {}, does),
    ])));
}
