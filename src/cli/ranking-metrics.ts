/** Means over users with one relevant item each. */
export interface RankingSummary {
  'hr@10': number;
  'ndcg@10': number;
  'hr@20': number;
  'ndcg@20': number;
}

/**
 * 0-based rank of the target among items by falling score; null when it is not among them. Ties never help: an item
 * with the target's score counts as ranked before it.
 */
export function rankOf(items: readonly { item_id: string; score: number }[], target: string): number | null {
  const found = items.find(({ item_id: id }) => id === target);
  return found === undefined ? null : items.filter(({ item_id: id, score }) => id !== target && score >= found.score).length;
}

export function createRankingMetrics(): { add: (rank: number | null) => void; summary: () => RankingSummary } {
  const sums: RankingSummary = { 'hr@10': 0, 'ndcg@10': 0, 'hr@20': 0, 'ndcg@20': 0 };
  let users = 0;
  return {
    add: (rank) => {
      users++;
      for (const depth of [10, 20] as const) {
        if (rank === null || rank >= depth) continue;
        sums[`hr@${depth}`] += 1;
        sums[`ndcg@${depth}`] += 1 / Math.log2(rank + 2);
      }
    },
    summary: () => Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, sum / Math.max(1, users)])) as unknown as RankingSummary, // same keys
  };
}
