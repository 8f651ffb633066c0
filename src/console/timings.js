import { byId, element, setVariable } from './element.js';
import { formatMs, formatPercent, humanise } from './format.js';

const timing = byId('timing', HTMLElement);
const COLOURS = 8;

/**
 * @param {Record<string, number>} timingsMs by stage, with `total`
 * @param {number} roundTripMs
 */
export function showTimings(timingsMs, roundTripMs) {
  const { total: given, ...byStage } = timingsMs;
  const stages = Object.entries(byStage);
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
    element('p', { class: 'note' }, `The server’s stages are ${formatPercent(share)} of it.`));
}

/**
 * Bars of one scale.
 *
 * @param {{name: string, weight: number, mark?: number | undefined}[]} rows mark: another value of the same scale
 * @param {(weight: number) => string} format
 */
export function weightBars(rows, format) {
  const largest = Math.max(...rows.flatMap(({ weight, mark = 0 }) => [weight, mark]), Number.MIN_VALUE);
  return element('ul', { class: 'bars compact' }, ...rows.map(({ name, weight, mark }) => {
    const bar = element('span', { class: mark === undefined ? 'bar' : 'bar marked', 'aria-hidden': 'true' }, element('span', { class: 'part video' }));
    setVariable(bar, 'share', `${(Math.max(weight, 0) / largest) * 100}%`);
    if (mark !== undefined) setVariable(bar, 'mark', `${(mark / largest) * 100}%`);
    return element('li', {},
      element('span', { class: 'title', title: name }, name.replaceAll('_', ' ')),
      bar,
      element('span', { class: 'value' }, format(weight)));
  }));
}
