import { byId } from './element.js';

/** The page is narrow when the feed itself is one of the tabs; console.css has the same bound. */
const narrow = matchMedia('(max-width: 1080px)');
const list = byId('tabs', HTMLElement);
const tabs = [...list.querySelectorAll('button')];
/** @type {Map<string, (() => void)[]>} */
const listeners = new Map();
/** How far down each one was. @type {Map<string, number>} */
const scrolled = new Map();
let shown = '';

/** @param {string} name */
export function isTabShown(name) {
  return shown === name;
}

/**
 * @param {string} name
 * @param {() => void} listener called each time the tab comes into view
 */
export function whenTabShown(name, listener) {
  listeners.set(name, [...(listeners.get(name) ?? []), listener]);
}

/**
 * On a narrow screen what had the focus is gone with its tab; on a wide one it stays where it is.
 *
 * @param {string} name
 */
export function focusPanelIfNarrow(name) {
  if (narrow.matches) byId(`panel-${name}`, HTMLElement).focus({ preventScroll: true });
}

/** @param {string} name */
export function showTab(name) {
  scrolled.set(shown, window.scrollY);
  shown = name === 'feed' && !narrow.matches ? 'why' : name;
  document.body.dataset['tab'] = shown;
  for (const tab of tabs) {
    const isShown = tab.dataset['tab'] === shown;
    tab.ariaSelected = String(isShown);
    tab.tabIndex = isShown ? 0 : -1;
    const panel = document.getElementById(`panel-${tab.dataset['tab']}`);
    if (panel && tab.dataset['tab'] !== 'feed') panel.hidden = !isShown;
  }
  // one after the other they share the page's scroll bar
  if (narrow.matches) window.scrollTo(0, scrolled.get(shown) ?? 0);
  for (const listener of listeners.get(shown) ?? []) listener();
}

list.addEventListener('click', (event) => {
  const tab = event.target instanceof Element ? event.target.closest('button') : null;
  if (tab) showTab(tab.dataset['tab'] ?? '');
});
list.addEventListener('keydown', (event) => {
  const visible = tabs.filter((tab) => tab.offsetParent !== null);
  const at = visible.findIndex((tab) => tab === document.activeElement);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: visible.length - 1 }[event.key];
  if (to === undefined || at < 0) return;
  event.preventDefault();
  const tab = visible[(to + visible.length) % visible.length];
  showTab(tab?.dataset['tab'] ?? '');
  tab?.focus();
});
narrow.addEventListener('change', () => showTab(narrow.matches ? 'feed' : shown));
showTab(narrow.matches ? 'feed' : 'why');
