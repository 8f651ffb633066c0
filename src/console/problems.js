import { ApiProblem, apiKey } from './api.js';
import { byId, element } from './element.js';

const box = byId('problem', HTMLElement);
const keyForm = byId('key-form', HTMLFormElement);
const keyInput = byId('api-key', HTMLInputElement);

/** @param {unknown} problem */
export function showProblem(problem) {
  box.hidden = false;
  if (!(problem instanceof ApiProblem)) {
    box.replaceChildren(element('h2', {}, 'The console failed'), element('p', {}, problem instanceof Error ? problem.message : String(problem)));
    throw problem;
  }
  const small = [
    problem.status ? `HTTP ${problem.status}` : '',
    problem.code,
    problem.retryAfter ? `retry after ${problem.retryAfter} s` : '',
    problem.requestId ? `request ${problem.requestId}` : '',
  ].filter(Boolean).join(' · ');
  box.replaceChildren(
    element('h2', {}, problem.title),
    problem.detail ? element('p', {}, problem.detail) : '',
    problem.errors.length > 0
      ? element('ul', {}, ...problem.errors.map(({ pointer, detail }) =>
        element('li', {}, element('code', {}, pointer || '/'), ` ${detail ?? ''}`)))
      : '',
    small ? element('p', { class: 'note' }, small) : '');
  if (problem.wantsKey && keyForm.hidden) {
    keyForm.hidden = false;
    keyInput.focus();
  }
}

export function clearProblem() {
  box.hidden = true;
  box.replaceChildren();
  keyForm.hidden = true;
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
}
