/** @import * as Wire from './wire-types.js' */
import { readReadiness } from './api.js';
import { byId, element } from './element.js';
import { humanise } from './format.js';

const facts = byId('model-facts', HTMLElement);
const readiness = byId('readiness', HTMLElement);
const readinessText = byId('readiness-text', HTMLElement);
const READY_POLL_MS = 15_000;
const WAITING_POLL_MS = 1_500;

/** @param {Wire.ActiveModel | null} model */
export function showModel(model) {
  facts.replaceChildren();
  if (!model) {
    facts.append(fact('model', 'none active'));
    return;
  }
  const layers = Array.isArray(model.layers) ? model.layers.length : model.layers;
  const items = model.items ?? model.item_count;
  const fingerprint = model.fingerprint.replace(/^sha256[:-]/, '');
  facts.append(...[
    fact('model', model.version ?? 'unnamed'),
    fact('fingerprint', fingerprint.slice(0, 10), model.fingerprint),
    typeof model.dim === 'number' ? fact('dim', String(model.dim)) : null,
    typeof layers === 'number' ? fact('layers', String(layers)) : null,
    model.provider ? fact('runs on', model.provider) : null,
    typeof items === 'number' ? fact('clips', items.toLocaleString('en')) : null,
  ].filter((made) => made !== null));
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
 * Follows /readyz for as long as the page is open: often while the server starts, seldom afterwards.
 *
 * @param {() => void} onChange called after the first answer, whatever it is, and at each later change to ready
 */
export async function followReadiness(onChange) {
  let before = '';
  for (;;) {
    const status = document.hidden && before ? before : await readReadiness();
    if (status !== before) {
      readiness.dataset['state'] = status;
      readinessText.textContent = humanise(status);
      if (status === 'ready' || before === '') onChange();
      before = status;
    }
    await new Promise((resolve) => setTimeout(resolve, status === 'ready' ? READY_POLL_MS : WAITING_POLL_MS));
  }
}
