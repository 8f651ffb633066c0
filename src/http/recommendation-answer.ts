import type { RecommendAnswer, Recommended } from '../recommend/answer.js';
import type { RecommendRequest } from '../recommend/request.js';
import type { ServedEntry, ServedItem } from '../store/served-log.js';
import { presentFields } from './fields.js';
import type { Answer } from './recommendation-schema.js';

/** Keeps an answer for replay and reports. @returns its recommendation id */
export type LogServed = (entry: ServedEntry) => string;

/** Items in the form that the answer and the served log share. */
export const presentItems = ({ items }: RecommendAnswer): ServedItem[] => items.map(presentItem);

function presentItem({ item, score, reason, propensity, movedBy }: Recommended): ServedItem {
  const entry: ServedItem = { item_id: item.fields.item_id, score, reason };
  if (propensity !== undefined) entry.propensity = propensity;
  if (movedBy.length > 0) entry.moved_by = movedBy;
  return entry;
}

/** The entry of the served log: the answer without user, history or examples. */
export const servedEntryOf = (result: RecommendAnswer, { k, loggedOptions }: RecommendRequest, items: ServedItem[]): ServedEntry => ({
  at: result.at,
  fingerprint: result.model.fingerprint,
  version: result.model.version,
  k,
  items,
  fallback: result.fallback,
  short_reason: result.shortReason,
  experiment: result.arm,
  seed: result.seed,
  offset: result.offset,
  sequence: result.sequence,
  request: loggedOptions,
});

/** The answer by the schema. @param fields names of the item fields to include */
export function presentAnswer(result: RecommendAnswer, recommendationId: string, items: ServedItem[], fields: readonly string[]): Answer {
  const { arm, seed, explanations, model } = result;
  const isPlain = fields.length === 0 && explanations === null;
  return {
    recommendation_id: recommendationId,
    items: isPlain ? items : items.map((entry, rank) => detailed(entry, result, rank, fields)),
    next_cursor: result.nextCursor,
    end_reason: result.endReason,
    fallback: result.fallback,
    short_reason: result.shortReason,
    model: { fingerprint: model.fingerprint, version: model.version },
    ...(arm !== null && { experiment: arm }),
    ...(seed !== null && { exploration_seed: seed }),
    sequence: result.sequence,
    ...(result.isStale === true && { stale: true as const }),
    ...(explanations !== null && { layer_weights: model.layer_weights }),
    timings_ms: result.timings,
  };
}

/** The item with its requested fields and explanation. */
function detailed(entry: ServedItem, { items, explanations }: RecommendAnswer, rank: number, fields: readonly string[]) {
  const item = items[rank]?.item;
  const explanation = explanations?.[rank];
  return {
    ...entry,
    ...(fields.length > 0 && item !== undefined && { item: presentFields(item.fields, fields) }),
    ...(explanation !== undefined && { explain: explanation }),
  };
}
