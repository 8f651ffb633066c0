/** @import * as Wire from './wire-types.js' */
import { ApiProblem, call, readMetrics, readModels } from './api.js';
import { button, byId, element } from './element.js';
import { formatAgo, formatMs, formatPercent, plural } from './format.js';
import { gauge } from './metrics-text.js';
import { problemNote } from './problems.js';
import { whenTabShown } from './tabs.js';
import { weightBars } from './timings.js';

const layers = byId('layers', HTMLElement);
const recall = byId('recall', HTMLElement);
const swapBox = byId('swap', HTMLElement);
const versions = byId('versions', HTMLElement);
const form = byId('register-form', HTMLFormElement);
const folder = byId('artifact-folder', HTMLInputElement);
const folderNote = byId('artifact-folder-note', HTMLElement);
const folderHint = folderNote.textContent ?? '';
const POLL_MS = 300;

/** @type {Record<Wire.Swap['state'], string>} */
const STEPS = {
  verifying: 'Checking digests and golden vectors',
  fusing: 'Fusing the catalogue',
  checking: 'Comparing the new index with exact search',
  active: 'Switched',
  failed: 'Refused; the model that served goes on serving',
};

/** @type {{switched: () => void, reload: () => Promise<void>}} */
let on = { switched: () => {}, reload: async () => {} };
let following = 0;
/** What the list of versions shows. */
let listed = '';

/** @param {typeof on} handlers */
export function listenToModelDesk(handlers) {
  on = handlers;
}

/**
 * @param {Wire.Model[]} models
 * @param {Wire.Swap | null} swap the last or the running one
 */
export function showModels(models, swap) {
  const active = models.find((model) => model.active);
  layers.replaceChildren(active && active.layer_weights.length > 0
    ? weightBars(active.layer_weights.map((weight, layer) => ({ name: active.layer_names[layer] ?? `layer ${layer + 1}`, weight })), (weight) => weight.toFixed(3))
    : element('p', { class: 'empty' }, 'This model has no hidden states, so no layers.'));
  const isRunning = swap !== null && swap.finished_at === null && swap.state !== 'active';
  const known = JSON.stringify([models, isRunning]);
  if (known !== listed) versions.replaceChildren(...models.map((model) => version(model, isRunning))); // or the focus would be lost
  listed = known;
  showSwap(swap, isRunning);
  if (isRunning) follow();
}

/**
 * @param {Wire.Model} model
 * @param {boolean} isBusy a swap is under way; going back is possible all the same
 */
function version(model, isBusy) {
  const states = { active: 'serves', standby: 'loaded, ready', registered: 'registered' };
  const action = model.state === 'active' ? null
    : model.state === 'standby' ? button('Roll back', () => void activate(model), { class: 'button small primary' })
      : button('Switch to it', () => void activate(model), isBusy ? { 'aria-disabled': 'true' } : {});
  return element('li', { class: 'version', 'data-state': model.state },
    element('div', {},
      element('p', { class: 'name' }, `${model.name} ${model.version}`, element('span', { class: 'state' }, states[model.state])),
      element('p', { class: 'note' },
        element('code', { title: model.fingerprint }, model.fingerprint.slice(0, 10)),
        ` · ${model.variant}, ${model.dim} d · ${model.items ? plural(model.items['searchable'] ?? 0, 'clip') : `registered ${formatAgo(model.registered_at)}`}`)),
    action);
}

/**
 * @param {Wire.Swap | null} swap
 * @param {boolean} isRunning
 */
function showSwap(swap, isRunning) {
  if (swap === null) {
    swapBox.replaceChildren();
    return;
  }
  const took = swap.finished_at === null ? null : Date.parse(swap.finished_at) - Date.parse(swap.started_at);
  const parts = [
    `${STEPS[swap.state]}${took === null || swap.state === 'failed' ? '' : took < 1 ? ' at once' : ` in ${took < 1000 ? formatMs(took) : `${(took / 1000).toFixed(1)} s`}`}`,
    swap.state === 'fusing' ? `${swap.items_done.toLocaleString('en')} of ${swap.items_total.toLocaleString('en')} clips` : '',
    swap.recall === null ? '' : `recall@20 ${swap.recall.toFixed(3)}`,
    swap.finished_at ? formatAgo(swap.finished_at) : '',
  ].filter(Boolean);
  swapBox.replaceChildren(element('div', { class: 'swap', 'data-state': swap.state },
    element('p', {}, element('code', {}, swap.fingerprint.slice(0, 10)), ` ${parts.join(' · ')}`),
    isRunning ? element('progress', { max: Math.max(swap.items_total, 1), value: swap.state === 'verifying' ? null : swap.items_done, 'aria-label': 'Clips fused' }) : '',
    swap.error ? element('p', { class: 'failed' }, swap.error) : ''));
}

/** @param {Wire.Model} model */
async function activate(model) {
  try {
    const { body } = await call('POST', `/v1/models/${model.fingerprint}/activate`, undefined);
    await on.reload();
    if (body.state === 'active') on.switched();
    else follow();
  } catch (problem) {
    swapBox.replaceChildren(problemNote(problem));
  }
}

/** Follows a running swap to its end. */
function follow() {
  clearTimeout(following);
  following = window.setTimeout(async () => {
    try {
      const { models, swap } = await readModels();
      showModels(models, swap); // follows on while it runs
      if (swap?.state === 'active') on.switched();
    } catch (problem) {
      if (!(problem instanceof ApiProblem)) throw problem;
      follow(); // the swap goes on whether this page hears of it or not
    }
  }, POLL_MS);
}

async function showRecall() {
  try {
    const share = gauge(await readMetrics(), 'reelfuse_index_recall_ratio');
    recall.replaceChildren(share
      ? element('p', { class: 'headline' }, element('strong', {}, formatPercent(share)), ' of the exact answer found by the last self-check')
      : element('p', { class: 'empty' }, 'No self-check yet: the server makes one every REELFUSE_RECALL_CHECK_SECONDS.'));
  } catch (problem) {
    if (!(problem instanceof ApiProblem)) throw problem;
    recall.replaceChildren(element('p', { class: 'note' }, `The server’s metrics could not be read: ${problem.detail || problem.title}`));
  }
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  folder.ariaInvalid = null;
  try {
    const { body } = await call('POST', '/v1/models', { folder: folder.value.trim() });
    folderNote.textContent = `Registered ${body.name} ${body.version}.`;
    folder.value = '';
    await on.reload();
  } catch (problem) {
    if (!(problem instanceof ApiProblem)) throw problem;
    const field = problem.errors.find(({ pointer }) => pointer === '/folder');
    folder.ariaInvalid = 'true';
    folderNote.textContent = field?.detail ?? (problem.detail || problem.title);
  }
  folderNote.classList.toggle('failed', folder.ariaInvalid === 'true');
});
folder.addEventListener('input', () => {
  folder.ariaInvalid = null;
  folderNote.textContent = folderHint;
  folderNote.classList.remove('failed');
});

whenTabShown('model', () => {
  void showRecall();
  void on.reload().catch((/** @type {unknown} */ problem) => swapBox.replaceChildren(problemNote(problem)));
});
