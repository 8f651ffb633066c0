import type { Generation } from '../generations/generation.js';
import { layerShares } from '../generations/layer-shares.js';
import type { Searched } from '../model/recommender-pool.js';
import type { Explanation, RecommendContext, Recommended } from './request.js';

/**
 * Leave-one-out attribution: a history item's contribution to a recommendation is the score minus the score that the
 * user tower gives without that item. With a single item it is the score itself.
 */
export function explain(
  { artifact, catalogue }: Generation,
  items: readonly Recommended[],
  history: readonly number[],
  found: Searched | null,
): Explanation[] {
  const { temperature } = artifact.manifest;
  return items.map(({ item, score, movedBy, reason }) => {
    const { slot, idShare } = item;
    const contributions =
      slot === null || found === null || reason !== 'history'
        ? []
        : Array.from(history, (row, position) => {
            const without = found.vectors?.without[position];
            const rest = without === undefined ? 0 : catalogue.table.similarity(without, slot) / temperature;
            return { item_id: catalogue.rows.idOf(row), contribution: score - rest };
          });
    contributions.sort((a, b) => b.contribution - a.contribution);
    return { id_share: idShare, history: contributions, moved_by: movedBy };
  });
}

/**
 * Adds what each layer of the hidden states does to the item's vector; one item after another, because the item tower
 * is ingest's too. Null for the items whose turn comes too late.
 */
export async function explainLayers(
  { generation, store }: Pick<RecommendContext, 'generation' | 'store'>,
  items: readonly Recommended[],
  explanations: readonly Explanation[],
  isLate: () => boolean,
): Promise<Explanation[]> {
  const layered: Explanation[] = [];
  for (const [rank, explanation] of explanations.entries()) {
    const itemId = items[rank]?.item.fields.item_id ?? '';
    layered.push({ ...explanation, layers: isLate() ? null : await layerShares(generation, itemId, store.hiddenStates(itemId)) });
  }
  return layered;
}
