import type { Explanation, Recommended } from './answer.js';
import { beforeDeadline, isLate } from './deadline.js';
import type { Ranking } from './rank.js';
import type { RequestScope } from './scope.js';

/** Items that are explained in one turn of the event loop: with 50 items in the history 5,000 scores. */
const SLICE_ITEMS = 100;

/** Explanations of the items, in order; null: none were requested. */
export async function explain(scope: RequestScope, items: readonly Recommended[], ranking: Ranking): Promise<Explanation[] | null> {
  const { explain: isWanted, explainLayers } = scope.request;
  if (!isWanted) return null;
  const explanations = await explainHistory(scope, items, ranking);
  return explainLayers ? addLayers(scope, items, explanations) : explanations;
}

/**
 * Leave-one-out attribution: a history item's contribution to a recommendation is the score minus the score that the
 * user tower gives without that item. With a single item it is the score itself.
 */
async function explainHistory({ context }: RequestScope, items: readonly Recommended[], { stream }: Ranking): Promise<Explanation[]> {
  const scores: number[][] = [];
  for (let from = 0; stream !== null && from < items.length; from += SLICE_ITEMS) {
    await context.ownTurn();
    scores.push(...(await stream.scoresWithout(items.slice(from, from + SLICE_ITEMS).map(({ item }) => item))));
  }
  return items.map(({ item, score, movedBy, reason }, n) => {
    const isExplained = stream !== null && reason === 'history';
    const contributions = !isExplained
      ? []
      : stream.history.map((index, position) => ({
          item_id: context.interner.idOf(index),
          contribution: score - (scores[n]?.[position] ?? 0),
        }));
    contributions.sort((a, b) => b.contribution - a.contribution);
    return { id_share: item.idShare, history: contributions, moved_by: movedBy };
  });
}

/**
 * Adds the share of each layer in the item vectors. Items are explained one after another, because ingest shares the item tower.
 * The shares are null for items that would miss the deadline.
 */
function addLayers(scope: RequestScope, items: readonly Recommended[], explanations: readonly Explanation[]): Promise<Explanation[]> {
  const explainAll = async (): Promise<Explanation[]> => {
    const layered: Explanation[] = [];
    for (const [rank, explanation] of explanations.entries()) {
      const itemId = items[rank]?.item.fields.item_id ?? '';
      layered.push({ ...explanation, layers: isLate(scope) ? null : await scope.context.layerShares(itemId) });
    }
    return layered;
  };
  return beforeDeadline(explainAll(), scope, async () => explanations.map((explanation) => ({ ...explanation, layers: null })));
}
