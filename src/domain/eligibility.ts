import type { Matcher } from './filter.js';
import { hashOf } from './item-hash.js';
import type { ParsedFilter } from './filter.js';
import { isServable, type Item } from './item.js';

/** What an item must pass to be in the answer at all. */
export interface EligibilityRules {
  /** Indexes of the items that the user has seen and must not get again. */
  readonly seen: Pick<ReadonlyMap<number, unknown>, 'has' | 'size'>;
  /** Excluded by the caller, in the history of the request, or an example. */
  readonly excludedIds: ReadonlySet<string>;
  /** Whether `seen` and `excludedIds` together hold every item of the history. */
  readonly excludesHistory: boolean;
  /** Hashes of the ids that earlier pages have shown. */
  readonly shownEarlier: ReadonlySet<number>;
  readonly filter: (ParsedFilter & { matches: Matcher }) | null;
}

const NO_IDS: ReadonlySet<string> = new Set();
const NO_HASHES: ReadonlySet<number> = new Set();
export const NOTHING_SEEN: ReadonlyMap<number, number> = new Map();

/** Every servable item is eligible. */
export const ANYTHING: EligibilityRules = {
  seen: NOTHING_SEEN,
  excludedIds: NO_IDS,
  excludesHistory: false,
  shownEarlier: NO_HASHES,
  filter: null,
};

export const isShownEarlier = ({ fields }: Item, { shownEarlier }: Pick<EligibilityRules, 'shownEarlier'>): boolean =>
  shownEarlier.size > 0 && shownEarlier.has(hashOf(fields.item_id));

/** Decided on the item as it is now, so that an index that is behind serves nothing that is deleted, hidden or expired. */
export const isEligible = (item: Item, { seen, excludedIds, shownEarlier, filter }: EligibilityRules, now: number): boolean =>
  isServable(item, now) &&
  !seen.has(item.index) &&
  (excludedIds.size === 0 || !excludedIds.has(item.fields.item_id)) &&
  !isShownEarlier(item, { shownEarlier }) &&
  (filter === null || filter.matches(item));
