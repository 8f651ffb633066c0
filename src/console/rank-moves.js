/**
 * @typedef {{kind: 'new'} | {kind: 'up' | 'down', by: number} | {kind: 'same'}} Move
 * @typedef {{moves: Map<string, Move>, entered: number, up: number, down: number, left: number}} RankMoves
 */

/**
 * What changed between two answers. The clip the user just acted on leaves the list by rule; it is taken out of the
 * earlier order first, so that the clips below it do not all count as risen by one.
 *
 * @param {string[]} before item ids in rank order
 * @param {string[]} after item ids in rank order
 * @param {string | null} actedOn
 * @returns {RankMoves}
 */
export function compareRanks(before, after, actedOn) {
  const stays = new Set(after);
  const baseline = before.filter((id) => id !== actedOn || stays.has(id));
  const rankBefore = new Map(baseline.map((id, rank) => [id, rank]));
  /** @type {RankMoves} */
  const result = { moves: new Map(), entered: 0, up: 0, down: 0, left: baseline.filter((id) => !stays.has(id)).length };
  after.forEach((id, rank) => {
    const earlier = rankBefore.get(id);
    if (earlier === undefined) {
      result.entered += 1;
      result.moves.set(id, { kind: 'new' });
    } else if (earlier === rank) {
      result.moves.set(id, { kind: 'same' });
    } else {
      const kind = earlier > rank ? 'up' : 'down';
      result[kind] += 1;
      result.moves.set(id, { kind, by: Math.abs(earlier - rank) });
    }
  });
  return result;
}
