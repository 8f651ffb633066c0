import type { Generation } from '../catalog/generation.js';
import type { Searched } from '../model/recommender-pool.js';
import type { Explanation, Recommended } from './request.js';

/**
 * Leave-one-out attribution: a history item's contribution to a recommendation is the score minus the score that the
 * user tower gives without that item. With a single item it is the score itself.
 */
export function explain({ artifact, catalogue }: Generation, items: Recommended[], history: string[], found: Searched): Explanation[] {
  const { temperature } = artifact.manifest;
  return items.map(({ item, score }) => {
    const { slot, idShare } = item;
    const contributions =
      slot === null
        ? []
        : history.map((itemId, position) => {
            const without = found.without[position];
            const rest = without === undefined ? 0 : catalogue.table.similarity(without, slot) / temperature;
            return { item_id: itemId, contribution: score - rest };
          });
    contributions.sort((a, b) => b.contribution - a.contribution);
    return { id_share: idShare, history: contributions, moved_by: [] };
  });
}
