import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Cap, CapCounter } from '../domain/caps.js';
import type { Filter } from '../domain/filter.js';
import type { Item } from '../domain/item.js';
import type { Retrieval } from '../retrieval/retrieval.js';
import type { ShortReason } from './answer.js';
import type { Boost } from './boost.js';
import { MAX_CHOICE, chooseApart, chooseFirst, counterOf, type Choose } from './choose.js';
import { createNearDuplicates } from './near-duplicates.js';
import type { ItemSource, RankedItem } from './source.js';

export interface RerankOptions {
  k: number;
  minScore: number | null;
  caps: readonly Cap[];
  diversity: number;
  boost: Boost | null;
  /** Greatest cosine of two items; null: any. */
  maxSimilarity: number | null;
  /** Items that are in the answer anyway. */
  pinned: readonly Item[];
}

export interface Reranked {
  items: readonly RankedItem[];
  /** Why there are fewer than k items although others are eligible; null: there are no others. */
  limitedBy: Extract<ShortReason, 'caps' | 'near_duplicates' | 'min_score'> | null;
}

/** Boosts and diversity first choose from max(k · POOL_FACTOR, POOL_MIN) candidates; the pool grows by POOL_GROWTH until the choice is settled. */
const POOL_FACTOR = 5;
const POOL_MIN = 100;
const POOL_GROWTH = 4;
/** Boosts act among this number of best candidates. Those behind them keep their order. */
const MAX_BOOSTED = 10_000;
/** Minimum size of a page of the source, where a longer pool does not change the choice. */
const MIN_PAGE = 16;
/** Candidates taken in one turn of the event loop: about a millisecond. */
const SLICE = 2048;

/** Number of candidates of the first search. Boosts, diversity and caps need more than k. */
export function depthOf({ k, diversity, caps, boost, maxSimilarity }: RerankOptions): number {
  if (diversity > 0 || boost !== null) return Math.max(k * POOL_FACTOR, POOL_MIN);
  return caps.length > 0 || maxSimilarity !== null ? 2 * k : k;
}

/** Number of candidates whose order may change; those behind them stay ordered by score. */
function reorderedOf({ k, diversity, boost }: RerankOptions): number {
  if (boost !== null) return MAX_BOOSTED;
  return diversity > 0 ? Math.max(k, MAX_CHOICE) : 0;
}

/** Candidates in order: the reordered ones by boosted score, then the others as the source returned them. */
interface Pool {
  readonly candidates: readonly RankedItem[];
  /** A candidate was below the minimum score, so all later ones are too. */
  readonly isCut: boolean;
  /** The source has no further candidates. */
  readonly isDry: boolean;
}

interface Selection {
  readonly items: readonly RankedItem[];
  /** `rankScore` of the k-th best candidate that the caps admit; -Infinity: there are fewer. */
  readonly floor: number;
  /** What the caps admit in addition to the items; null: everything. */
  readonly admits: Filter | null;
}

/**
 * Chooses up to k items within the caps by score, boosts and diversity. It asks the source for more candidates until no later one
 * can change the choice.
 */
export async function rerank(source: ItemSource, options: RerankOptions, retrieval: Pick<Retrieval, 'vectors'>): Promise<Reranked> {
  const reordered = reorderedOf(options);
  const { maxSimilarity, pinned } = options;
  const duplicates = maxSimilarity === null ? null : createNearDuplicates(retrieval, maxSimilarity);
  const choose: Choose | null =
    duplicates && ((candidates, count, caps, before) => duplicates.choose(candidates, count, caps, [...pinned, ...source.shown, ...before]));
  let pool: Pool = { candidates: [], isCut: false, isDry: false };
  let selection: Selection = { items: [], floor: -Infinity, admits: null };
  for (let size = depthOf(options); ; size = nextSize(pool, selection, options, reordered)) {
    // while the order may change, a candidate that the caps refuse now may still be chosen
    const admits = pool.candidates.length < reordered ? null : selection.admits;
    while (pool.candidates.length < size && !pool.isCut && !pool.isDry) {
      const page = await source.next(pageSize(pool, size, reordered), admits);
      pool = withPage(pool, page, options, reordered);
      if (page.length === SLICE) await nextTurn();
    }
    const chosen = select(pool, options, retrieval, choose);
    selection = chosen instanceof Promise ? await chosen : chosen;
    if (isSettled(pool, selection, source, options, reordered)) break;
  }
  return { items: selection.items, limitedBy: selection.items.length === options.k ? null : await limitOf(pool, selection, source, options) };
}

function nextSize({ candidates }: Pool, { items }: Selection, { k, maxSimilarity }: RerankOptions, reordered: number): number {
  if (candidates.length < reordered) return Math.min(candidates.length * POOL_GROWTH, reordered);
  if (maxSimilarity !== null) return 2 * Math.max(candidates.length, k); // no source leaves duplicates out: each choice begins anew
  return candidates.length + k - items.length;
}

/** Number of candidates to ask the source for, so that the pool grows to a size. */
function pageSize({ candidates }: Pool, size: number, reordered: number): number {
  const minPage = reordered === 0 ? MIN_PAGE : 1; // who is not eligible must not change what the choice is made from
  return Math.min(Math.max(size - candidates.length, minPage), SLICE);
}

/** The pool with the next page of the source. */
function withPage(pool: Pool, page: readonly RankedItem[], { minScore, boost }: RerankOptions, reordered: number): Pool {
  const end = minScore === null ? -1 : page.findIndex(({ score }) => score < minScore);
  const isCut = end >= 0;
  const isDry = page.length === 0;
  const added = isCut ? page.slice(0, end) : page;
  if (boost === null) return { candidates: pool.candidates.length === 0 ? added : pool.candidates.concat(added), isCut, isDry };
  const boostable = Math.max(reordered - pool.candidates.length, 0);
  const boosted = pool.candidates.slice(0, reordered).concat(added.slice(0, boostable).map((candidate) => boost.apply(candidate)));
  boosted.sort((a, b) => b.rankScore - a.rankScore);
  return { candidates: boosted.concat(pool.candidates.slice(reordered), added.slice(boostable)), isCut, isDry };
}

/** At once unless diversity compares vectors. */
function select(pool: Pool, options: RerankOptions, retrieval: Pick<Retrieval, 'vectors'>, choose: Choose | null): Selection | Promise<Selection> {
  const { candidates } = pool;
  const { k, caps } = options;
  const counter = counterOf(caps);
  const selected = (items: readonly RankedItem[]): Selection | Promise<Selection> => finish(items, counter, pool, options, retrieval, choose);
  return choose === null ? selected(chooseFirst(candidates, k, counter)) : choose(candidates, k, counter, []).then(selected);
}

function finish(
  items: readonly RankedItem[],
  counter: CapCounter | null,
  pool: Pool,
  options: RerankOptions,
  retrieval: Pick<Retrieval, 'vectors'>,
  choose: Choose | null,
): Selection | Promise<Selection> {
  const { candidates, isCut, isDry } = pool;
  const { k, diversity } = options;
  const floor = items.length < k ? -Infinity : (items.at(-1)?.rankScore ?? Infinity);
  const first: Selection = { items, floor, admits: counter?.remaining() ?? null };
  const isWorthComparing = items.length === k || isCut || isDry || candidates.length >= MAX_CHOICE;
  return diversity > 0 && isWorthComparing ? diversify(first, pool, options, retrieval, choose) : first;
}

async function diversify(
  first: Selection,
  { candidates }: Pool,
  options: RerankOptions,
  retrieval: Pick<Retrieval, 'vectors'>,
  choose: Choose | null,
): Promise<Selection> {
  const items = await chooseApart(candidates, first.items, options, retrieval, choose ?? undefined);
  const counter = counterOf(options.caps);
  for (const { item } of items) counter?.count(item);
  return { items, floor: first.floor, admits: counter?.remaining() ?? null };
}

/** Whether no later candidate can change the choice. */
function isSettled(
  { candidates, isCut, isDry }: Pool,
  { items, floor }: Selection,
  source: ItemSource,
  options: RerankOptions,
  reordered: number,
): boolean {
  const { k, minScore, boost } = options;
  const upperBound = source.upperBound();
  if (isCut || isDry || upperBound === -Infinity || (minScore !== null && upperBound < minScore)) return true;
  if (items.length < k) return false;
  return boost === null || candidates.length >= reordered || floor >= upperBound + boost.maxGain;
}

async function limitOf(
  { candidates, isCut }: Pool,
  { items, admits }: Selection,
  source: ItemSource,
  { k, caps, maxSimilarity }: RerankOptions,
): Promise<Reranked['limitedBy']> {
  if (maxSimilarity !== null && chooseFirst(candidates, k, counterOf(caps)).length > items.length) return 'near_duplicates';
  if (candidates.length > items.length) return 'caps';
  if (isCut) return 'min_score';
  // a search among what the caps admit does not show whether they have refused anything, so ask without them
  return admits !== null && (await source.next(1, null)).length > 0 ? 'caps' : null;
}
