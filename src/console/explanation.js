/**
 * Why a clip is there: what is in its vector, what in the history speaks for it, what moved it.
 *
 * @import * as Wire from './wire-types.js'
 */
import { ApiProblem, recommend } from './api.js';
import { fetchItems, knownItem } from './catalogue.js';
import { idShareBar } from './clip-card.js';
import { drawCover } from './cover.js';
import { button, byId, element, setVariable } from './element.js';
import { formatAgo, formatDuration, formatPercent, formatScore, itemReasonInWords, moverInWords } from './format.js';
import { weightBars } from './timings.js';

const panel = byId('explanation', HTMLElement);
const BARS = 8;
/** Held-down arrow keys pass many cards; only the one they stop at is worth the runs of the item tower. */
const PAUSE_MS = 200;

/**
 * @typedef {object} Context
 * @property {Wire.RecommendationRequest} request that the answer was given to
 * @property {string[]} layerNames
 * @property {number[]} layerWeights of the model, softmaxed
 * @property {{tryIt: (itemId: string) => void, manage: (itemId: string) => void}} on
 */

/** Counts explanations, so that a slow one never overwrites a newer one. */
let latest = 0;

/**
 * @param {Wire.Recommendation} recommendation
 * @param {number} rank
 * @param {Context} context
 */
export async function showExplanation(recommendation, rank, context) {
  latest += 1;
  const mine = latest;
  const { item_id: itemId, item = {}, explain } = recommendation;
  const contributions = [...(explain?.history ?? [])].sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution));
  const bars = contributions.slice(0, BARS);
  // Titles are a nicety here: without them the bars carry the ids.
  await fetchItems(bars.map((entry) => entry.item_id)).catch(() => undefined);
  if (mine !== latest) return;

  const layers = element('div', { class: 'layers' });
  panel.replaceChildren(
    element('div', { class: 'explained' },
      drawCover(itemId, item, 'poster'),
      element('div', { class: 'explained-title' },
        element('p', { class: 'note' }, `Number ${rank} · score ${formatScore(recommendation.score)} · ${itemReasonInWords(recommendation.reason)}`),
        element('h2', { dir: 'auto' }, item.title ?? itemId),
        facts(itemId, item, recommendation.propensity))),
    element('div', { class: 'row' },
      button('Try it in a history', () => context.on.tryIt(itemId), { icon: 'try' }),
      button('Hide or delete', () => context.on.manage(itemId), { icon: 'hide' })),
    element('h3', {}, 'What the vector is made of'),
    idShareBar(explain?.id_share) ?? element('p', { class: 'note' }, 'The model places it by its ID alone.'),
    layers,
    element('h3', {}, 'What in the history speaks for it'),
    bars.length > 0
      ? element('ul', { class: 'bars' }, ...bars.map((entry) => contributionBar(entry, Math.abs(bars[0]?.contribution ?? 1))))
      : element('p', { class: 'empty' }, recommendation.reason === 'popular' ? 'None: it is here because it is popular and fresh.' : 'No clip of the history took part.'),
    bars.length > 0
      ? element('p', { class: 'note' }, `The score without each clip, against the score with it${contributions.length > bars.length ? `; ${contributions.length - bars.length} smaller ones not shown` : ''}.`)
      : '',
    movedBy(explain?.moved_by ?? []),
    element('details', {},
      element('summary', {}, 'As the server sent it'),
      element('pre', { class: 'code', tabindex: 0 }, JSON.stringify(recommendation, null, 2))));

  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  if (mine !== latest) return;
  const made = await layersOf(itemId, context);
  if (mine === latest && made) layers.replaceChildren(...made);
}

/**
 * Which layers of the hidden states the item's vector rests on. Asked for one clip at a time, pinned so that it is the answer
 * whatever has been watched since: for a whole page it would cost a run of the item tower for each layer of each clip.
 *
 * @param {string} itemId
 * @param {Context} context
 * @returns {Promise<Node[] | null>}
 */
async function layersOf(itemId, { request, layerNames, layerWeights }) {
  const { cursor: _, exclude: __, exact: ___, ...who } = request;
  try {
    const { answer } = await recommend({ ...who, k: 1, fields: [], explain: 'layers', pins: [{ item_id: itemId, position: 1 }] });
    const shares = answer.items[0]?.explain?.layers;
    if (!shares) return [element('p', { class: 'note' }, 'It has no hidden states, so no layer took part.')];
    return [
      weightBars(shares.map((share, layer) => ({ name: layerNames[layer] ?? `layer ${layer + 1}`, weight: share, mark: layerWeights[layer] })), formatPercent),
      element('p', { class: 'note' }, 'How far the vector moves without each layer; the line is the weight that was learned.'),
    ];
  } catch (problem) {
    if (!(problem instanceof ApiProblem)) throw problem;
    return [element('p', { class: 'note' }, `The layers could not be read: ${problem.detail || problem.title}`)];
  }
}

/**
 * @param {string} itemId
 * @param {Wire.Item} item
 * @param {number | undefined} propensity
 */
function facts(itemId, item, propensity) {
  const attributes = item.attributes ?? {};
  const rows = Object.entries({
    id: itemId,
    topic: [attributes.topic, attributes.subtopic].filter(Boolean).join(' / '),
    author: [attributes.author_name, item.author_id].filter(Boolean).join(' · '),
    language: attributes.language,
    length: formatDuration(attributes.duration_s),
    since: formatAgo(item.available_from ?? attributes.published_at),
    propensity: propensity?.toFixed(4),
  });
  return element('dl', { class: 'rows' }, ...rows.flatMap(([name, value]) =>
    value ? [element('dt', {}, name), element('dd', { dir: 'auto' }, value)] : []));
}

/**
 * @param {{item_id: string, contribution: number}} entry
 * @param {number} largest the largest absolute contribution shown
 */
function contributionBar(entry, largest) {
  const item = knownItem(entry.item_id);
  const bar = element('span', { class: 'bar', 'aria-hidden': 'true' }, element('span', { class: entry.contribution < 0 ? 'part against' : 'part id' }));
  setVariable(bar, 'share', `${largest > 0 ? (Math.abs(entry.contribution) / largest) * 100 : 0}%`);
  return element('li', {},
    drawCover(entry.item_id, item, 'dot-cover'),
    element('span', { class: 'title', dir: 'auto' }, item.title ?? entry.item_id),
    element('span', { class: 'value' }, `${entry.contribution < 0 ? '−' : '+'}${Math.abs(entry.contribution).toFixed(3)}`),
    bar);
}

/** @param {string[]} movers */
function movedBy(movers) {
  if (movers.length === 0) return '';
  return element('div', {},
    element('h3', {}, 'What moved it'),
    element('ul', { class: 'chips' }, ...movers.map((mover) => element('li', { class: 'chip' }, moverInWords(mover)))));
}
