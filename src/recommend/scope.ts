import type { EligibilityRules } from '../domain/eligibility.js';
import { ReelfuseError, notFound } from '../errors.js';
import { createBoost, isBoosted, type Boost } from './boost.js';
import type { RecommendContext } from './context.js';
import { deadlineOf, type Timed } from './deadline.js';
import { NOBODY, collectHistory, type History } from './history.js';
import type { RecommendRequest } from './request.js';
import { parseRules } from './rules.js';

/** How long a request without a deadline waits for a change that it wants to see. */
const SEQUENCE_WAIT_MS = 1000;

/** Everything that is known of a request before anything is searched for. No stage changes it. */
export interface RequestScope extends Timed {
  readonly context: RecommendContext;
  readonly request: RecommendRequest;
  /** performance.now() */
  readonly startedAt: number;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Sequence of the newest change: the answer may lack newer ones. */
  readonly sequence: number;
  /** Text of user, item and filter, which all pages of a session share. */
  readonly identity: string;
  /** Hashes of the ids that earlier pages have shown, in order. */
  readonly shown: readonly number[];
  readonly history: History;
  readonly rules: EligibilityRules;
  readonly boost: Boost | null;
  /** Index of the item of a similar-items request; null: rank by the history. */
  readonly similarTo: number | null;
  /** Time to collect the history and rules, milliseconds. */
  readonly historyMs: number;
}

/**
 * Waits for the change that the request wants to see, parses filters and cursor, and reads what is known of the user.
 * @throws ReelfuseError 422 `invalid_request`, 410 `cursor_expired`, 503 `sequence_not_reached`, 404 `item_not_found`
 */
export async function openScope(context: RecommendContext, request: RecommendRequest): Promise<RequestScope> {
  const startedAt = performance.now();
  const deadline = deadlineOf(startedAt, request.deadlineMs);
  if (request.atLeastSequence !== null) await waitForSequence(context, request.atLeastSequence, deadline);
  const { sequence } = context.changes;
  const now = context.now();
  const parsed = parseRules(context, request);
  const identity = JSON.stringify([request.userId, request.similarTo, request.filter]);
  const shown = request.cursor === null ? NOTHING_SHOWN : context.cursors.open(request.cursor, identity, context.steadyNow()).shown;
  const recent = request.userId === null ? NOBODY : await context.histories.of(request.userId);
  const collected = collectHistory(recent, request, context.retrieval, now);
  const history = collected instanceof Promise ? await collected : collected;
  const boost = isBoosted(request) ? await createBoost(context, request, parsed, now) : null;
  const similarTo = request.similarTo === null || !context.isReady() ? null : await indexOf(context, request.similarTo);
  const rules: EligibilityRules = {
    seen: history.seen,
    excludedIds: excludedIds(request),
    excludesHistory: request.excludeSeen && request.seenWithinMs === null,
    shownEarlier: shown.length === 0 ? NO_HASHES : new Set(shown),
    filter: parsed.filter,
  };
  const historyMs = performance.now() - startedAt;
  return { context, request, startedAt, deadline, now, sequence, identity, shown, history, rules, boost, similarTo, historyMs };
}

const NOTHING_SHOWN: readonly number[] = [];
const NO_HASHES: ReadonlySet<number> = new Set();
const NO_IDS: ReadonlySet<string> = new Set();

async function waitForSequence({ changes }: RecommendContext, wanted: number, deadline: number): Promise<void> {
  if (await changes.reached(wanted, Math.min(SEQUENCE_WAIT_MS, deadline - performance.now()))) return;
  const detail = `change ${wanted} is not here yet, the newest is ${changes.sequence}`;
  throw new ReelfuseError(503, 'sequence_not_reached', detail, { retryAfter: 1 });
}

/** Ids that the request names as history, example, similar item or exclusion. */
function excludedIds({ exclude, history, liked, disliked, similarTo }: RecommendRequest): ReadonlySet<string> {
  if (exclude.length + history.length + liked.length + disliked.length === 0 && similarTo === null) return NO_IDS;
  return new Set([...exclude, ...history, ...liked, ...disliked, ...(similarTo === null ? [] : [similarTo])]);
}

async function indexOf({ retrieval }: RecommendContext, itemId: string): Promise<number> {
  const [item] = await retrieval.find([itemId]);
  if (item === undefined) throw notFound('item', itemId);
  return item.index;
}
