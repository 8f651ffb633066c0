/** @import * as Wire from './wire-types.js' */
/** @import {Point, Scene} from './map-drawing.js' */
import { ApiProblem, placeOnMap, readMap } from './api.js';
import { fetchItems, knownItem, rememberItem } from './catalogue.js';
import { drawCover } from './cover.js';
import { button, byId, element, setVariable } from './element.js';
import { problemNote } from './problems.js';
import { formatDuration, formatPercent } from './format.js';
import { drawMap, topicColour, viewOf } from './map-drawing.js';
import { isTabShown, whenTabShown } from './tabs.js';
import { isDark } from './theme-toggle.js';

const field = byId('map', HTMLElement);
const canvas = byId('map-canvas', HTMLCanvasElement);
const wait = byId('map-wait', HTMLElement);
const about = byId('map-clip', HTMLElement);
const topics = byId('map-topics', HTMLElement);
const note = byId('map-note', HTMLElement);
const zoom = byId('map-zoom', HTMLButtonElement);
/** Pixels around the pointer in which a clip is meant. */
const REACH = 14;
const NO_TOPIC = 'no topic';
/** @type {Record<string, [x: number, y: number]>} */
const DIRECTIONS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/** @type {{history: string[], answer: string[], selected: string | null, fingerprint: string}} */
let wanted = { history: [], answer: [], selected: null, fingerprint: '' };
/** @type {Wire.ItemMap | null} */
let map = null;
/** Clips of the sample and others that were asked for. @type {Map<string, Point>} */
const places = new Map();
/** Clips that have none. @type {Set<string>} */
const nowhere = new Set();
/** @type {Scene} */
let scene = { points: [], history: [], answer: [], selected: null, pointed: null, topic: null, zoomed: false };
let reading = false;
/** @type {{tryIt: (itemId: string) => void, isComposing: () => boolean}} */
let on = { tryIt: () => {}, isComposing: () => false };

/** @param {typeof on} handlers */
export function listenToMap(handlers) {
  on = handlers;
}

/** @param {Partial<typeof wanted>} more what has changed */
export function showOnMap(more) {
  wanted = { ...wanted, ...more };
  if (isTabShown('map')) void update();
}

async function update() {
  if (reading) return; // what is wanted is looked at again when the reading ends
  reading = true;
  try {
    for (let before; before !== wanted;) {
      before = wanted;
      if (map === null || map.model.fingerprint !== wanted.fingerprint) takeMap(await readMap());
      await placeMissing();
    }
    wait.hidden = true;
  } catch (problem) {
    wait.hidden = false;
    wait.replaceChildren(problemNote(problem), button('Try again', () => void update()));
    if (!(problem instanceof ApiProblem)) throw problem;
    return;
  } finally {
    reading = false;
  }
  compose();
}

/** @param {Wire.ItemMap} read */
function takeMap(read) {
  map = read;
  places.clear();
  nowhere.clear();
  for (const { item_id: id, x, y, item } of read.points) {
    rememberItem(id, item);
    places.set(id, { id, x, y, topic: item?.attributes?.topic ?? NO_TOPIC });
  }
  showTopics(read);
}

async function placeMissing() {
  const missing = [...new Set([...wanted.history, ...wanted.answer, ...(wanted.selected ? [wanted.selected] : [])])].filter((id) => !places.has(id) && !nowhere.has(id));
  if (missing.length === 0) return;
  const { positions, made_at: madeAt } = await placeOnMap(missing);
  if (map && madeAt !== map.made_at) takeMap(await readMap()); // the catalogue has outgrown the map: other axes
  for (const { item_id: id, x, y } of positions) places.set(id, { id, x, y, topic: knownItem(id).attributes?.topic ?? NO_TOPIC });
  for (const id of missing) if (!places.has(id)) nowhere.add(id);
}

function compose() {
  if (map === null) return;
  const placed = (/** @type {string[]} */ ids) => ids.flatMap((id) => places.get(id) ?? []);
  scene = {
    ...scene,
    points: placed(map.points.map(({ item_id: id }) => id)),
    history: placed(wanted.history),
    answer: placed(wanted.answer),
    selected: places.get(wanted.selected ?? '') ?? null,
  };
  const [x, y] = map.variance;
  note.textContent = `${map.points.length.toLocaleString('en')} of ${map.items.toLocaleString('en')} clips by the two principal axes of their fused vectors, which hold ${formatPercent(x + y)} of the variance.`;
  draw();
}

/** @param {Wire.ItemMap} read */
function showTopics({ points }) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { item } of points) {
    const topic = item?.attributes?.topic;
    if (topic) counts.set(topic, (counts.get(topic) ?? 0) + 1);
  }
  scene.topic = null;
  topics.replaceChildren(...[...counts].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])).slice(0, 16).map(([topic]) => {
    const chip = button('', () => {
      scene.topic = scene.topic === topic ? null : topic;
      for (const other of topics.querySelectorAll('button')) other.ariaPressed = String(other.value === scene.topic);
      draw();
    }, { class: 'chip', value: topic, 'aria-pressed': 'false', title: `Show ${topic} alone` });
    chip.append(element('span', { class: 'swatch', 'aria-hidden': 'true' }), topic);
    return chip;
  }));
  colourTopics();
}

function colourTopics() {
  for (const chip of topics.querySelectorAll('button')) setVariable(chip, 'topic', topicColour(chip.value, isDark()));
}

function draw() {
  drawMap(canvas, scene);
}

/** @returns {Point[]} what lies on top first */
function all() {
  return [...scene.answer, ...scene.history, ...scene.points.filter(({ topic }) => scene.topic === null || topic === scene.topic)];
}

/** @param {Point | null} point */
function pointAt(point) {
  if (scene.pointed?.id === point?.id) return;
  scene.pointed = point;
  draw();
  if (!point) return;
  void fetchItems([point.id]).catch(() => undefined).then(() => {
    if (scene.pointed?.id === point.id) showClip(point.id);
  });
}

/** @param {string} itemId */
function showClip(itemId) {
  const item = knownItem(itemId);
  const rank = wanted.answer.indexOf(itemId);
  const back = wanted.history.indexOf(itemId);
  const role = rank >= 0 ? `number ${rank + 1} of the answer` : back >= 0 ? 'in the history' : '';
  about.replaceChildren(
    drawCover(itemId, item, 'thumb'),
    element('div', { class: 'what' },
      element('span', { class: 'title', dir: 'auto' }, item.title ?? itemId),
      element('span', { class: 'note' }, [item.attributes?.topic, item.attributes?.language, formatDuration(item.attributes?.duration_s), role].filter(Boolean).join(' · '))),
    button('Try it', () => on.tryIt(itemId), { icon: 'try', title: 'Put it into a history that is made up here' }));
}

/** @param {MouseEvent} event @returns {Point | null} */
function under(event) {
  const box = canvas.getBoundingClientRect();
  const view = viewOf(scene, canvas.clientWidth, canvas.clientHeight);
  const distance = (/** @type {Point} */ point) => Math.hypot(view.x(point.x) - (event.clientX - box.left), view.y(point.y) - (event.clientY - box.top));
  return nearest(all(), distance, REACH);
}

/**
 * @param {Point[]} points
 * @param {(point: Point) => number} distance
 * @param {number} within
 * @returns {Point | null} of equally near ones the first
 */
function nearest(points, distance, within) {
  let best = null;
  let least = within;
  for (const point of points) {
    const here = distance(point);
    if (here >= least) continue;
    best = point;
    least = here;
  }
  return best;
}

canvas.addEventListener('pointermove', (event) => {
  const point = under(event);
  canvas.classList.toggle('on-clip', point !== null);
  if (point && event.pointerType === 'mouse') pointAt(point);
});
canvas.addEventListener('click', (event) => {
  const point = under(event);
  if (!point) return;
  // a finger has no hover: its first touch shows the clip
  const isSeen = scene.pointed?.id === point.id;
  pointAt(point);
  if (isSeen && on.isComposing()) on.tryIt(point.id);
});

field.addEventListener('keydown', (event) => {
  const [dx, dy] = DIRECTIONS[event.key] ?? [0, 0];
  if (event.key === 'Enter' && scene.pointed) {
    event.preventDefault();
    on.tryIt(scene.pointed.id);
  }
  if (dx === 0 && dy === 0) return;
  event.preventDefault();
  const from = scene.pointed ?? scene.selected ?? scene.answer[0] ?? scene.points[0];
  if (!from) return;
  // the nearest one within a right angle around the arrow's direction
  pointAt(nearest(all(), (point) => {
    const [right, up] = [point.x - from.x, point.y - from.y];
    const along = right * dx + up * dy;
    const across = Math.abs(right * dy) + Math.abs(up * dx);
    return along > 0 && across <= along ? along + across : Number.POSITIVE_INFINITY;
  }, Number.POSITIVE_INFINITY) ?? from);
});

zoom.addEventListener('click', () => {
  scene.zoomed = !scene.zoomed;
  zoom.ariaPressed = String(scene.zoomed);
  draw();
});
new ResizeObserver(draw).observe(field);
document.addEventListener('themechange', () => {
  colourTopics();
  draw();
});
whenTabShown('map', () => void update());
