/** Draws the map; knows no network and no page state. */
import { topicHue } from './cover.js';
import { isDark } from './theme-toggle.js';

/**
 * @typedef {{id: string, x: number, y: number, topic: string}} Point
 * @typedef {object} Scene
 * @property {Point[]} points the sample
 * @property {Point[]} history newest first
 * @property {Point[]} answer by rank
 * @property {Point | null} selected
 * @property {Point | null} pointed
 * @property {string | null} topic the only one that is not dimmed
 * @property {boolean} zoomed to history and answer
 * @typedef {{x: (x: number) => number, y: (y: number) => number}} View page pixels of a place
 */

const MARGIN = 22;
/** Discs with a number; the later ones would hide each other. */
const NUMBERED = 9;

/**
 * @param {string} topic
 * @param {boolean} dark
 */
export function topicColour(topic, dark) {
  return `oklch(${dark ? 0.76 : 0.58} .16 ${topicHue(topic).toFixed(0)})`;
}

/**
 * One scale for both axes: distances on the map are distances between vectors.
 *
 * @param {Scene} scene
 * @param {number} width
 * @param {number} height
 * @returns {View}
 */
export function viewOf({ points, history, answer, zoomed }, width, height) {
  const framed = zoomed && history.length + answer.length > 0 ? [...history, ...answer] : [...points, ...history, ...answer];
  const xs = framed.map((point) => point.x);
  const ys = framed.map((point) => point.y);
  const [left, right, bottom, top] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = Math.min((width - 2 * MARGIN) / Math.max(right - left, 1e-6), (height - 2 * MARGIN) / Math.max(top - bottom, 1e-6));
  return {
    x: (x) => width / 2 + (x - (left + right) / 2) * scale,
    y: (y) => height / 2 - (y - (bottom + top) / 2) * scale,
  };
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Scene} scene
 */
export function drawMap(canvas, scene) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const context = canvas.getContext('2d');
  if (!context || width === 0) return;
  const density = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * density);
  canvas.height = Math.round(height * density);
  context.scale(density, density);
  const view = viewOf(scene, width, height);
  const dark = isDark();
  const ink = dark ? '#f0f0f4' : '#16171d';
  const ground = dark ? '#17181f' : '#ffffff';
  const answerColour = dark ? '#918cff' : '#5048d8';

  /** @param {Point} point @param {number} radius */
  const circle = (point, radius) => {
    context.beginPath();
    context.arc(view.x(point.x), view.y(point.y), radius, 0, 2 * Math.PI);
  };

  for (const point of scene.points) {
    context.globalAlpha = scene.topic !== null && point.topic !== scene.topic ? 0.1 : scene.topic === null ? 0.5 : 0.85;
    context.fillStyle = topicColour(point.topic, dark);
    circle(point, 2.4);
    context.fill();
  }
  context.globalAlpha = 1;

  scene.history.toReversed().forEach((point, index, all) => {
    // the newest counts most, and is seen best
    context.globalAlpha = 0.35 + 0.65 * ((index + 1) / all.length);
    circle(point, 5);
    context.fillStyle = ground;
    context.fill();
    context.lineWidth = 2;
    context.strokeStyle = ink;
    context.stroke();
  });
  context.globalAlpha = 1;

  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.font = '700 10px Inter, system-ui, sans-serif';
  scene.answer.map((point, rank) => ({ point, rank })).reverse().forEach(({ point, rank }) => {
    circle(point, rank < NUMBERED ? 8 : 4.5);
    context.fillStyle = answerColour;
    context.fill();
    context.lineWidth = 1.5;
    context.strokeStyle = ground;
    context.stroke();
    if (rank >= NUMBERED) return;
    context.fillStyle = dark ? '#12131a' : '#ffffff';
    context.fillText(String(rank + 1), view.x(point.x), view.y(point.y) + 0.5);
  });

  for (const [point, colour, radius] of /** @type {const} */ ([[scene.selected, dark ? '#ff8552' : '#d04a16', 12], [scene.pointed, ink, 10]])) {
    if (!point) continue;
    circle(point, radius);
    context.lineWidth = 2.5;
    context.strokeStyle = colour;
    context.stroke();
  }
}
