import type { ServedEntry, ServedItem } from '../served-log.js';

/** Items as columns: less than half of the text and of the time to write it. Keeping an answer: 11 → 7 µs (bench/LOG.md, 0fe811c). */
interface FoldedEntry extends Omit<ServedEntry, 'items'> {
  ids: string[];
  scores: number[];
  /** One reason when all items have the same. */
  reasons: string | string[];
  /** Fields that few items have, by position. */
  more?: Record<number, Pick<ServedItem, 'propensity' | 'moved_by'>>;
}

/** Fields that entries of older versions lack. */
const DEFAULTS = { offset: 0, sequence: 0 };

/** An entry as a line of a segment. */
export const toLine = (entry: ServedEntry, nonce: string): string => `{"nonce":"${nonce}",${JSON.stringify(fold(entry)).slice(1)}\n`;

/** @param nonce the nonce that the entry must have; null: any. @returns null when the text is no entry with this nonce */
export function fromLine(text: string, nonce: string | null): ServedEntry | null {
  let line: (ServedEntry | FoldedEntry) & { nonce: string };
  try {
    line = JSON.parse(text) as typeof line;
  } catch {
    return null; // the offset of the id is not the start of a line
  }
  const { nonce: own, ...entry } = line;
  if (nonce !== null && own !== nonce) return null;
  return { ...DEFAULTS, ...('ids' in entry ? unfold(entry) : entry) };
}

function fold(entry: ServedEntry): FoldedEntry {
  // field by field: JSON.stringify is several times slower on an object made by a spread
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
