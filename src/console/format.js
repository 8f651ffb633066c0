/** What the console says in words for the server's codes, and how it writes numbers. */

/** @type {Record<string, string>} */
const FALLBACKS = {
  no_history: 'There is no history yet, so this is what is popular and fresh. Like or watch one clip and the model takes over.',
  unknown_history: 'The model knows none of the clips in this history, so this is what is popular and fresh.',
  starting: 'The catalogue is still loading, so this is what is popular and fresh.',
  deadline: 'The deadline of the request was about to pass, so this is what is popular and fresh.',
};

/** @type {Record<string, string>} */
const SHORT = {
  catalogue_exhausted: 'there are no more that were not shown or watched.',
  filter: 'the filter lets no more through.',
  caps: 'the caps let no more through.',
  min_score: 'no more reach the score asked for.',
};

/** @type {Record<string, string>} */
const ITEM_REASONS = {
  history: 'from history',
  popular: 'popular and fresh',
  exploration: 'exploration',
  similar: 'similar',
  pinned: 'pinned',
};

/** @type {Record<string, string>} */
const MOVERS = {
  freshness: 'fresh: the boost for new clips',
  rotation: 'rotation: shown before',
  diversity: 'diversity: differs from the clips above',
  exploration: 'exploration: a new clip was given a place',
  pin: 'pinned to this place',
};

/** @param {string} code of explain.moved_by */
export function moverInWords(code) {
  return MOVERS[code] ?? humanise(code).replace(':', ' ');
}

/** @param {string} code */
export function humanise(code) {
  return code.replaceAll('_', ' ');
}

/** @param {string} code */
export function fallbackInWords(code) {
  return FALLBACKS[code] ?? `Answered by the fallback ranking (popular and fresh): ${humanise(code)}.`;
}

/**
 * @param {string} code
 * @param {number} got
 * @param {number} asked
 */
export function shortReasonInWords(code, got, asked) {
  const count = got === 0 ? 'No clip' : `Only ${got} of the ${asked} clips asked for`;
  return `${count}: ${SHORT[code] ?? `${humanise(code)}.`}`;
}

/** @param {string | undefined} code */
export function itemReasonInWords(code) {
  return code ? (ITEM_REASONS[code] ?? humanise(code)) : 'no reason given';
}

/** @param {number} ms */
export function formatMs(ms) {
  const digits = ms < 10 ? 2 : ms < 100 ? 1 : 0;
  return `${ms.toFixed(digits)} ms`;
}

/** @param {number} share 0..1 */
export function formatPercent(share) {
  return `${Math.round(share * 100)} %`;
}

/** @param {number | null | undefined} score */
export function formatScore(score) {
  return typeof score === 'number' ? score.toFixed(3) : 'none';
}

/** @param {number | undefined} seconds */
export function formatDuration(seconds) {
  if (typeof seconds !== 'number') return '';
  const whole = Math.max(1, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

/** @param {string | null | undefined} at RFC 3339 */
export function formatAgo(at) {
  const age = formatAge(at);
  return age === '' || age === 'now' ? age.replace('now', 'just now') : `${age} ago`;
}

/** @param {string | null | undefined} at RFC 3339 */
export function formatAge(at) {
  const then = at ? Date.parse(at) : Number.NaN;
  if (Number.isNaN(then)) return '';
  const minutes = Math.round((Date.now() - then) / 60_000);
  if (minutes < 1) return 'now';
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.round(minutes / 60)} h`;
  const days = Math.round(minutes / 1440);
  return days < 60 ? `${days} d` : days < 730 ? `${Math.round(days / 30.4)} mo` : `${Math.round(days / 365.25)} y`;
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
}
