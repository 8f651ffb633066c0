/** @import * as Wire from './wire-types.js' */
import { byId, element, setVariable } from './element.js';
import { formatMs, formatPercent, humanise } from './format.js';

const timing = byId('timing', HTMLElement);
const layersPanel = byId('layers-panel', HTMLElement);
const layers = byId('layers', HTMLElement);
const COLOURS = 8;

/**
 * @param {Record<string, number>} timingsMs by stage, with `total`
 * @param {number} roundTripMs
 */
export function showTimings(timingsMs, roundTripMs) {
  const { total: given, ...byStage } = timingsMs;
  const stages = Object.entries(byStage).filter(([, ms]) => typeof ms === 'number');
  const sum = stages.reduce((soFar, [, ms]) => soFar + ms, 0);
  const total = given ?? sum;
  const rest = total - sum;
  // Below this the remainder is rounding, not a stage.
  if (rest > 0.005) stages.push(['between stages', rest]);

  const stack = element('div', { class: 'stack', 'aria-hidden': 'true' });
  const legend = element('dl', { class: 'legend' });
  stages.forEach(([stage, ms], index) => {
    const colour = stage === 'between stages' ? 'rest' : String(index % COLOURS);
    const part = element('span', { 'data-colour': colour, title: `${humanise(stage)} ${formatMs(ms)}` });
    // Grow factors that sum to less than 1 would leave a gap.
    part.style.flexGrow = String(total > 0 ? (Math.max(ms, 0) / total) * 100 : 1);
    stack.append(part);
    legend.append(element('div', {},
      element('dt', {}, element('span', { class: 'swatch', 'data-colour': colour, 'aria-hidden': 'true' }), humanise(stage)),
      element('dd', {}, formatMs(ms))));
  });

  const trip = element('div', { class: 'bar trip', 'aria-hidden': 'true' }, element('span', { class: 'part id' }));
  const share = roundTripMs > 0 ? Math.min(total / roundTripMs, 1) : 1;
  setVariable(trip, 'share', `${share * 100}%`);
  timing.replaceChildren(
    element('p', { class: 'headline' }, element('strong', {}, formatMs(total)), ' in the server'),
    stack,
    legend,
    element('p', { class: 'headline second' }, element('strong', {}, formatMs(roundTripMs)), ' round trip in this browser'),
    trip,
    element('p', { class: 'note' }, `The server's stages are ${formatPercent(share)} of it.`));
}

/** @param {Wire.LayerWeight[] | undefined} weights */
export function showLayerWeights(weights) {
  layersPanel.hidden = !Array.isArray(weights) || weights.length === 0;
  if (!Array.isArray(weights)) return;
  const rows = weights.map((entry, index) => typeof entry === 'number'
    ? { name: `layer ${index + 1}`, weight: entry }
    : { name: String(entry.name ?? entry.layer ?? `layer ${index + 1}`), weight: entry.weight });
  const largest = Math.max(...rows.map(({ weight }) => weight));
  layers.replaceChildren(element('ul', { class: 'bars compact' }, ...rows.map(({ name, weight }) => {
    const bar = element('span', { class: 'bar', 'aria-hidden': 'true' }, element('span', { class: 'part video' }));
    setVariable(bar, 'share', `${largest > 0 ? (weight / largest) * 100 : 0}%`);
    return element('li', {}, element('span', { class: 'title' }, name), bar, element('span', { class: 'value' }, weight.toFixed(3)));
  })));
}
