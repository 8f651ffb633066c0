/** p50 and p99 of each stage, from the server's own histograms, and the requests of this page as a line. */
import { ApiProblem, readMetrics } from './api.js';
import { byId, element, svgElement } from './element.js';
import { formatMs, humanise, plural } from './format.js';
import { countOf, histograms, quantile, since } from './metrics-text.js';
import { isTabShown, whenTabShown } from './tabs.js';

/** @import {Buckets} from './metrics-text.js' */

const live = byId('live', HTMLElement);
const compared = byId('compared', HTMLElement);
const POLL_MS = 5_000;
const WINDOW_MS = 60_000;
const OWN_SHOWN = 60;
const [WIDTH, HEIGHT] = [300, 44];

/** Total milliseconds in the server of the requests that this page has made, oldest first. @type {number[]} */
const own = [];
/** @type {{at: number, stages: Map<string, Buckets>}[]} */
let readings = [];
let polling = 0;

/** @param {number} totalMs of the request that was just answered */
export function showLive(totalMs) {
  own.push(totalMs);
  if (own.length > OWN_SHOWN) own.shift();
  if (isTabShown('request')) void poll();
}

/** @param {string} words */
export function showCompared(words) {
  compared.textContent = words;
}

async function poll() {
  clearTimeout(polling);
  if (!isTabShown('request')) return;
  polling = window.setTimeout(() => void poll(), POLL_MS);
  if (document.hidden) return;
  try {
    const stages = histograms(await readMetrics(), 'reelfuse_stage_duration_seconds', 'stage');
    const at = performance.now();
    readings = [...readings.filter((reading) => at - reading.at < WINDOW_MS), { at, stages }];
    show(stages);
  } catch (problem) {
    if (!(problem instanceof ApiProblem)) throw problem;
    live.replaceChildren(element('p', { class: 'note' }, `The server’s metrics could not be read: ${problem.detail || problem.title}`), ownLine());
  }
}

/** @param {Map<string, Buckets>} stages */
function show(stages) {
  const oldest = readings[0]?.stages;
  const lately = new Map([...stages].map(([stage, buckets]) => [stage, since(buckets, oldest?.get(stage))]));
  const recent = countOf(lately.get('total') ?? { bounds: [], counts: [] });
  const source = recent > 0 ? lately : stages;
  const count = countOf(source.get('total') ?? { bounds: [], counts: [] });
  if (count === 0) {
    live.replaceChildren(element('p', { class: 'empty' }, 'No recommendation has been asked for since the start.'));
    return;
  }
  live.replaceChildren(
    element('p', { class: 'note' }, `${plural(count, 'request')} of all callers, ${recent > 0 ? 'within the last minute' : 'since the start'}`),
    element('table', { class: 'latencies' },
      element('thead', {}, element('tr', {}, ...['stage', 'p50', 'p99'].map((name) => element('th', { scope: 'col' }, name)))),
      element('tbody', {}, ...[...source].map(([stage, buckets]) => element('tr', { class: stage === 'total' ? 'total' : '' },
        element('th', { scope: 'row' }, humanise(stage)),
        ...[0.5, 0.99].map((share) => element('td', {}, formatSeconds(quantile(share, buckets)))))))),
    ownLine());
}

/** @param {number | null} seconds */
function formatSeconds(seconds) {
  return seconds === null ? '–' : formatMs(seconds * 1000);
}

function ownLine() {
  const largest = Math.max(...own, Number.MIN_VALUE);
  const step = WIDTH / Math.max(own.length - 1, 1);
  const points = own.map((ms, index) => `${(index * step).toFixed(1)},${(HEIGHT - 3 - (ms / largest) * (HEIGHT - 6)).toFixed(1)}`).join(' ');
  const last = own[own.length - 1] ?? 0;
  return element('figure', { class: 'own' },
    element('figcaption', { class: 'note' }, `${plural(own.length, 'request')} of this page: the last ${formatMs(last)}, the slowest ${formatMs(largest)}`),
    svgElement('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true', class: 'line' }, svgElement('polyline', { points })));
}

whenTabShown('request', () => void poll());
