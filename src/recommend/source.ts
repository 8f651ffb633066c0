import { isEligible, isShownEarlier, type EligibilityRules } from '../domain/eligibility.js';
import type { Filter } from '../domain/filter.js';
import type { Item } from '../domain/item.js';
import type { Candidate, CandidateStream, Retrieval } from '../retrieval/retrieval.js';
import type { RecommendContext } from './context.js';
import { UNMOVED, type Reason, type Recommended } from './answer.js';

/** A recommended item with the score that orders it. */
export interface RankedItem extends Recommended {
  readonly rankScore: number;
}

/** Eligible items, best first, from a model's candidate stream or from the fallback ranking. */
export interface ItemSource {
  /**
   * The next eligible items, about `count`; empty: there are no more.
   * @param admits what the caps still admit; null: everything
   */
  next(count: number, admits: Filter | null): Promise<readonly RankedItem[]>;
  /** Upper bound of `rankScore` of all later items; -Infinity: there are none. */
  upperBound(): number;
  /** Items of earlier pages that the source has come across so far. */
  readonly shown: readonly Item[];
}

export interface SourceContext extends Pick<RecommendContext, 'now'> {
  retrieval: Pick<Retrieval, 'hydrate'>;
}

/** Hydrates the candidates of a stream and keeps those that are eligible now. */
export function eligibleItems({ retrieval, now }: SourceContext, stream: CandidateStream, rules: EligibilityRules, reason: Reason): ItemSource {
  const shown: Item[] = [];
  return {
    shown,
    next: async (count, admits) => {
      for (;;) {
        const page = await stream.next(count, admits);
        if (page.length === 0) return NO_ITEMS;
        const items = await retrieval.hydrate(page);
        const eligible = eligibleOf(page, items, rules, reason, now(), shown);
        if (eligible.length > 0) return eligible;
      }
    },
    upperBound: () => stream.upperBound(),
  };
}

const NO_ITEMS: readonly RankedItem[] = [];

function eligibleOf(
  page: readonly Candidate[],
  items: readonly (Item | undefined)[],
  rules: EligibilityRules,
  reason: Reason,
  now: number,
  shown: Item[],
): RankedItem[] {
  const eligible: RankedItem[] = [];
  for (let n = 0; n < page.length; n++) {
    const item = items[n];
    if (item === undefined) continue;
    if (!isEligible(item, rules, now)) {
      if (isShownEarlier(item, rules)) shown.push(item);
      continue;
    }
    const { score } = page[n] as Candidate; // n < length
    eligible.push({ item, score, rankScore: score, reason, movedBy: UNMOVED });
  }
  return eligible;
}
