import type { ServedEntry, ServedItem } from '../served-log.js';

/** Items as columns: less than half of the text, and of the time to write it. */
interface FoldedEntry extends Omit<ServedEntry, 'items'> {
  ids: string[];
  scores: number[];
  /** One for all where they do not differ. */
  reasons: string | string[];
  /** What only few items have, by their index. */
  more?: Record<number, Pick<ServedItem, 'propensity' | 'moved_by'>>;
}

/** What entries of older versions lack. */
const DEFAULTS = { offset: 0, sequence: 0 };

/** An entry as a line of a segment. */
export const toLine = (entry: ServedEntry, nonce: string): string => `{"nonce":"${nonce}",${JSON.stringify(fold(entry)).slice(1)}\n`;

/** @param nonce what the entry must have been given; null: any. @returns null when the text is no such line */
export function fromLine(text: string, nonce: string | null): ServedEntry | null {
  let line: (ServedEntry | FoldedEntry) & { nonce: string };
  try {
    line = JSON.parse(text) as typeof line;
  } catch {
    return null; // the id points into the middle of something
  }
  const { nonce: own, ...entry } = line;
  if (nonce !== null && own !== nonce) return null;
  return { ...DEFAULTS, ...('ids' in entry ? unfold(entry) : entry) };
}

function fold(entry: ServedEntry): FoldedEntry {
  // field by field: an object made by a spread is several times slower to write as JSON
  const { items, at, fingerprint, version, k, fallback, short_reason, experiment, seed, offset, sequence, request } = entry;
  const folded: FoldedEntry = {
    at,
    fingerprint,
    version,
    k,
    fallback,
    short_reason,
    experiment,
    seed,
    offset,
    sequence,
    request,
    ids: [],
    scores: [],
    reasons: items[0]?.reason ?? '',
  };
  for (const { item_id: itemId, score, reason, propensity, moved_by: movedBy } of items) {
    if (propensity !== undefined || movedBy !== undefined) {
      folded.more ??= {};
      folded.more[folded.ids.length] = { ...(propensity !== undefined && { propensity }), ...(movedBy !== undefined && { moved_by: movedBy }) };
    }
    folded.ids.push(itemId);
    folded.scores.push(score);
    if (typeof folded.reasons === 'string' && reason !== folded.reasons) folded.reasons = items.map((item) => item.reason);
  }
  return folded;
}

function unfold({ ids, scores, reasons, more = {}, ...rest }: FoldedEntry): ServedEntry {
  const items = ids.map((itemId, index): ServedItem => ({
    item_id: itemId,
    score: scores[index] ?? 0,
    reason: typeof reasons === 'string' ? reasons : (reasons[index] ?? ''),
    ...more[index],
  }));
  return { ...rest, items };
}
