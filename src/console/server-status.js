/** @import * as Wire from './wire-types.js' */
import { readReadiness } from './api.js';
import { byId, element } from './element.js';
import { humanise } from './format.js';

const facts = byId('model-facts', HTMLElement);
const readiness = byId('readiness', HTMLElement);
const readinessText = byId('readiness-text', HTMLElement);
const READY_POLL_MS = 15_000;
const WAITING_POLL_MS = 1_500;

/** @param {Wire.Model | undefined} model the active one */
export function showModelFacts(model) {
  if (!model) {
    facts.replaceChildren(fact('model', 'none active'));
    return;
  }
  facts.replaceChildren(
    fact('model', `${model.name} ${model.version}`),
    fact('fingerprint', model.fingerprint.slice(0, 10), model.fingerprint),
    fact('clips', (model.items?.['total'] ?? 0).toLocaleString('en')),
    fact('dim', String(model.dim)),
    fact('layers', String(model.layers)),
    fact('runs on', model.provider ?? 'unknown'));
}

/**
 * @param {string} name
 * @param {string} value
 * @param {string} [title]
 */
function fact(name, value, title) {
  return element('div', { title }, element('dt', {}, name), element('dd', {}, value));
}

/**
 * Whether requests are answered.
 *
 * @param {string} status
 */
const isUp = (status) => status === 'ready' || status === 'degraded';

/**
 * Follows /readyz for as long as the page is open: often while the server starts, seldom afterwards.
 *
 * @param {() => void} onReady called each time that the server has become ready after it was not
 */
export async function followReadiness(onReady) {
  let before = '';
  for (;;) {
    const status = document.hidden && before ? before : await readReadiness();
    if (status !== before) {
      readiness.dataset['state'] = status;
      readinessText.textContent = humanise(status);
      if (isUp(status) && before !== '' && !isUp(before)) onReady();
      before = status;
    }
    await new Promise((resolve) => setTimeout(resolve, isUp(status) ? READY_POLL_MS : WAITING_POLL_MS));
  }
}
