/** @import * as Wire from './wire-types.js' */
import { element, setVariable } from './element.js';

const PATTERNS = 5;

/**
 * The clip's picture where its attributes name one, else a drawn cover: topic gives the hue, subtopic the second hue and
 * the pattern, and the item its composition. The same clip always looks the same.
 *
 * @param {string} itemId
 * @param {Wire.Item} item
 * @param {string} [className]
 */
export function drawCover(itemId, item, className = '') {
  const { topic = itemId, subtopic = topic } = item.attributes ?? {};
  const cover = element('span', { class: `cover ${className}`, 'aria-hidden': 'true' });
  const hue = topicHue(topic);
  const place = fraction(itemId);
  cover.dataset['pattern'] = String(Math.floor(fraction(`${subtopic}/pattern`) * PATTERNS));
  setVariable(cover, 'hue', hue.toFixed(0));
  setVariable(cover, 'hue-2', (hue + 25 + fraction(subtopic) * 70).toFixed(0));
  setVariable(cover, 'x', `${(10 + place * 80).toFixed(0)}%`);
  setVariable(cover, 'y', `${(5 + fraction(`${itemId}/y`) * 45).toFixed(0)}%`);
  setVariable(cover, 'tilt', `${(120 + fraction(`${itemId}/tilt`) * 120).toFixed(0)}deg`);
  const picture = item.attributes?.thumbnail_url;
  if (picture) cover.append(pictureOf(picture));
  return cover;
}

/** Gone when it cannot be loaded, so that the drawing shows. @param {string} address */
function pictureOf(address) {
  const picture = element('img', { alt: '', loading: 'lazy', decoding: 'async' });
  picture.addEventListener('error', () => picture.remove());
  picture.src = address;
  return picture;
}

/**
 * The same on covers and on the map.
 *
 * @param {string} topic
 * @returns {number} degrees
 */
export function topicHue(topic) {
  return fraction(topic) * 360;
}

/**
 * FNV-1a with a final avalanche, as a fraction: short similar words land far apart.
 *
 * @param {string} text
 * @returns {number} 0 <= fraction < 1
 */
function fraction(text) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
