import { byId } from './element.js';

const KEY = 'reelfuse-theme';
const toggle = byId('theme', HTMLButtonElement);
const system = matchMedia('(prefers-color-scheme: dark)');

/** @returns {boolean} whether the page is dark now, by choice or by the system */
export function isDark() {
  const chosen = document.documentElement.dataset['theme'];
  return chosen ? chosen === 'dark' : system.matches;
}

/** Switches; the system's own theme is not kept as a choice, so that the page goes on following the system. */
export function switchTheme() {
  const theme = isDark() ? 'light' : 'dark';
  const isSystem = (theme === 'dark') === system.matches;
  if (isSystem) delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
  try {
    if (isSystem) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    // without storage the choice lasts as long as the page
  }
  label();
  document.dispatchEvent(new Event('themechange'));
}

function label() {
  const words = isDark() ? 'Light theme' : 'Dark theme';
  toggle.ariaLabel = words;
  toggle.title = words;
}

toggle.addEventListener('click', switchTheme);
system.addEventListener('change', () => {
  label();
  document.dispatchEvent(new Event('themechange'));
});
label();
