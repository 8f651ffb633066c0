/** @import {Features} from './features-file.js' */
/** @import * as Wire from './wire-types.js' */
import { ApiProblem, call } from './api.js';
import { byId, element } from './element.js';
import { openFeatures } from './features-file.js';
import { problemNote } from './problems.js';

const form = byId('item-form', HTMLFormElement);

/**
 * @typedef {object} Field
 * @property {string} label
 * @property {Record<string, string | boolean>} [attributes] of the input
 * @property {string[]} pointers of the problems that belong to it
 * @property {string} [hint]
 */

/** @type {Record<string, Field>} */
const FIELDS = {
  item_id: { label: 'Id', pointers: ['/path/item_id'], attributes: { required: true, placeholder: 'clip-9000' } },
  author_id: { label: 'Author', pointers: ['/author_id'] },
  title: { label: 'Title', pointers: ['/title'] },
  topic: { label: 'Topic', pointers: ['/attributes/topic'] },
  language: { label: 'Language', pointers: ['/attributes/language'], attributes: { placeholder: 'en' } },
  duration_s: { label: 'Seconds', pointers: ['/attributes/duration_s'], attributes: { inputmode: 'decimal' } },
  tags: { label: 'Tags', pointers: ['/attributes/tags'], attributes: { placeholder: 'pasta, quick' } },
  expires_at: { label: 'Expires', pointers: ['/expires_at'], attributes: { placeholder: '2026-12-31T00:00:00Z' } },
  file: { label: 'Hidden states', pointers: ['/hidden_states'], attributes: { type: 'file', accept: '.safetensors' }, hint: 'A safetensors file: of this clip, or of many, of which one is chosen. Without one the clip waits for features.' },
};
/** What the server says by the names of its schema, in words. @type {[start: string, words: string][]} */
const IN_WORDS = [
  ['must be an id', 'must be 1 to 128 visible characters, without spaces'],
  ['must match format "date-time"', 'must be a time like 2026-12-31T00:00:00Z'],
];

/** @type {Map<string, {input: HTMLInputElement, error: HTMLElement}>} */
const fields = new Map();
const row = element('select', { id: 'item-row' });
const rowField = element('div', { class: 'field' }, element('label', { for: 'item-row' }, 'Row of the file'), row);
const replace = element('input', { type: 'checkbox', id: 'item-replace', role: 'switch' });
const outcome = element('div', { class: 'outcome', role: 'status' });
/** @type {Features | null} */
let features = null;

/** @param {(receipt: Wire.Receipt, isNew: boolean) => void} onPut */
export function buildItemForm(onPut) {
  for (const [name, { label, attributes, hint }] of Object.entries(FIELDS)) {
    const id = `item-${name.replace('_', '-')}`;
    const input = element('input', { id, name, spellcheck: 'false', autocapitalize: 'off', autocomplete: 'off', 'aria-describedby': `${id}-error`, ...attributes });
    const error = element('p', { class: 'error', id: `${id}-error` });
    fields.set(name, { input, error });
    input.addEventListener('input', () => tell(name, ''));
    form.append(element('div', { class: 'field', 'data-field': name }, element('label', { for: id }, label), input, hint ? element('p', { class: 'note' }, hint) : null, error));
  }
  rowField.hidden = true;
  form.append(
    rowField,
    element('div', { class: 'row submit' },
      element('button', { type: 'submit', class: 'button primary' }, 'Put'),
      element('label', { class: 'switch' }, replace, element('span', { class: 'track', 'aria-hidden': 'true' }), 'Replace a clip of this id')),
    outcome);
  field('file').input.addEventListener('change', () => void chooseFile());
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void submit(onPut);
  });
}

/** @param {string} name */
function field(name) {
  const found = fields.get(name);
  if (!found) throw new Error(`the form has no field ${name}`);
  return found;
}

/**
 * @param {string} name
 * @param {string} words empty: nothing is wrong with it
 */
function tell(name, words) {
  const { input, error } = field(name);
  input.ariaInvalid = words ? 'true' : null;
  error.textContent = words;
}

async function chooseFile() {
  features = null;
  rowField.hidden = true;
  const [file] = field('file').input.files ?? [];
  tell('file', '');
  if (!file) return;
  try {
    features = await openFeatures(file);
    rowField.hidden = features.itemIds === null;
    row.replaceChildren(...(features.itemIds ?? []).map((id, at) => element('option', { value: at }, id)));
  } catch (error) {
    tell('file', error instanceof Error ? error.message : String(error));
  }
}

/** @param {(receipt: Wire.Receipt, isNew: boolean) => void} onPut */
async function submit(onPut) {
  for (const name of fields.keys()) tell(name, '');
  outcome.replaceChildren();
  const value = (/** @type {string} */ name) => field(name).input.value.trim();
  // An id that cannot stand in a path, and what would be a word where filters expect a number, never reach the server.
  const early = {
    item_id: value('item_id') === '' ? 'is required' : '',
    duration_s: Number.isNaN(Number(value('duration_s'))) ? 'must be a number' : '',
  };
  for (const [name, words] of Object.entries(early)) tell(name, words);
  const [first] = Object.entries(early).find(([, words]) => words) ?? [];
  if (first) {
    field(first).input.focus();
    return;
  }
  try {
    const { status, body } = await call('PUT', `/v1/items/${encodeURIComponent(value('item_id'))}`, await bodyOf(value), replace.checked ? {} : { 'if-none-match': '*' });
    onPut(body, status === 201);
  } catch (problem) {
    showErrors(problem);
  }
}

/** @param {(name: string) => string} value */
async function bodyOf(value) {
  const seconds = value('duration_s');
  const tags = value('tags').split(',').map((tag) => tag.trim()).filter(Boolean);
  return {
    ...(value('title') && { title: value('title') }),
    ...(value('author_id') && { author_id: value('author_id') }),
    ...(value('expires_at') && { expires_at: value('expires_at') }),
    attributes: {
      ...(value('topic') && { topic: value('topic') }),
      ...(value('language') && { language: value('language') }),
      ...(seconds && { duration_s: Number(seconds) }),
      ...(tags.length > 0 && { tags }),
    },
    ...(features !== null && { hidden_states: await features.read(Number(row.value || 0)) }),
  };
}

/** Each error of a problem goes to its field; what belongs to none is shown below. @param {unknown} problem */
function showErrors(problem) {
  if (!(problem instanceof ApiProblem)) throw problem;
  let isPlaced = problem.errors.length > 0;
  let first = '';
  for (const { pointer = '', detail = '' } of problem.errors) {
    const [name] = Object.entries(FIELDS).find(([, { pointers }]) => pointers.some((start) => pointer.startsWith(start))) ?? [];
    if (name) tell(name, IN_WORDS.find(([start]) => detail.startsWith(start))?.[1] ?? detail);
    else isPlaced = false;
    first ||= name ?? '';
  }
  if (problem.status === 412) {
    tell('item_id', 'is taken; switch “Replace” on to overwrite it');
    first = 'item_id';
    isPlaced = true;
  }
  if (first) field(first).input.focus();
  outcome.replaceChildren(isPlaced ? '' : problemNote(problem));
}
