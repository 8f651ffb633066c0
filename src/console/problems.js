import { ApiProblem, apiKey } from './api.js';
import { byId, element } from './element.js';

const box = byId('problem', HTMLElement);
const keyForm = byId('key-form', HTMLFormElement);
const keyInput = byId('api-key', HTMLInputElement);
const changeKey = byId('change-key', HTMLButtonElement);

/** @param {unknown} problem */
export function showProblem(problem) {
  box.hidden = false;
  box.replaceChildren(...wordsOf(problem));
  if (!(problem instanceof ApiProblem)) throw problem; // a fault of the page belongs into its log too
  if (problem.wantsKey && keyForm.hidden) {
    keyForm.hidden = false;
    keyInput.focus();
  }
}

/**
 * The same for a problem that concerns one panel only.
 *
 * @param {unknown} problem
 * @returns {HTMLElement}
 */
export function problemNote(problem) {
  if (!(problem instanceof ApiProblem)) throw problem;
  return element('div', { class: 'problem inside', role: 'alert' }, ...wordsOf(problem));
}

/** @param {unknown} problem */
function wordsOf(problem) {
  if (!(problem instanceof ApiProblem)) {
    return [element('h2', {}, 'The console failed'), element('p', {}, problem instanceof Error ? problem.message : String(problem))];
  }
  const small = [
    problem.status ? `HTTP ${problem.status}` : '',
    problem.code,
    problem.retryAfter ? `retry after ${problem.retryAfter} s` : '',
    problem.requestId ? `request ${problem.requestId}` : '',
  ].filter(Boolean).join(' · ');
  return [
    element('h2', {}, problem.title),
    problem.detail ? element('p', {}, problem.detail) : '',
    problem.errors.length > 0
      ? element('ul', {}, ...problem.errors.map(({ pointer, detail }) =>
        element('li', {}, element('code', {}, pointer || '/'), ` ${detail ?? ''}`)))
      : '',
    small ? element('p', { class: 'note' }, small) : '',
  ];
}

export function clearProblem() {
  box.hidden = true;
  box.replaceChildren();
  keyForm.hidden = true;
  changeKey.hidden = apiKey.get() === '';
}

/** @param {() => void} onKey called after a key was given or forgotten */
export function listenForKey(onKey) {
  keyForm.addEventListener('submit', (event) => {
    event.preventDefault();
    apiKey.set(keyInput.value.trim());
    keyInput.value = '';
    onKey();
  });
  byId('forget-key', HTMLButtonElement).addEventListener('click', () => {
    apiKey.forget();
    keyInput.value = '';
    onKey();
  });
  changeKey.addEventListener('click', () => {
    keyForm.hidden = !keyForm.hidden;
    if (!keyForm.hidden) keyInput.focus();
  });
}
