import type { Store } from '../store/store.js';
import type { Generation } from './generation.js';

const DEPTH = 20;
/** Tries to hit a slot that is taken, before a nearly empty table is gone through. */
const TRIES = 64;

/** One item with a vector, drawn from the catalogue. */
function randomItem({ catalogue }: Generation): string[] {
  for (let tries = 0; tries < TRIES; tries++) {
    const item = catalogue.atSlot(Math.floor(Math.random() * catalogue.slots));
    if (item !== undefined) return [item.fields.item_id];
  }
  for (let slot = 0; slot < catalogue.slots; slot++) {
    const item = catalogue.atSlot(slot);
    if (item !== undefined) return [item.fields.item_id];
  }
  return [];
}

/**
 * Recall@20 of HNSW against exact search, mean over `samples` queries: histories of `users` first, single items for
 * the rest. Queries run one after another, so that live requests come in between.
 * @param pace awaited before each query
 * @returns null when there is nothing to search
 */
export async function measureRecall(
  generation: Generation,
  store: Pick<Store, 'history'>,
  users: readonly string[],
  samples: number,
  pace: () => Promise<void> = async () => {},
): Promise<number | null> {
  const { artifact, catalogue, pool } = generation;
  const search = async (history: readonly string[], exact: boolean): Promise<Int32Array> => {
    const found = await pool.search(() => {
      const slots = history.map((itemId) => catalogue.get(itemId)?.slot ?? null).filter((slot) => slot !== null);
      if (slots.length === 0) return null;
      const options = { similarTo: null, disliked: new Int32Array(0), allowed: null, exact: true, float32: true, explain: false, wantsUser: false };
      return { history: Int32Array.from(slots), count: DEPTH, excludesHistory: false, options: exact ? options : null };
    });
    return found === null ? new Int32Array(0) : found.batch.slots.subarray(found.first, found.first + found.count);
  };

  const recalls: number[] = [];
  for (let sample = 0; sample < samples; sample++) {
    const user = users[sample];
    const newestFirst = user === undefined ? [] : store.history(user, artifact.manifest.max_history).map(({ item_id: itemId }) => itemId);
    const history = newestFirst.length > 0 ? newestFirst.reverse() : randomItem(generation);
    await pace();
    const truth = await search(history, true);
    if (truth.length === 0) continue;
    const found = new Set(await search(history, false));
    recalls.push(truth.filter((slot) => found.has(slot)).length / truth.length);
  }
  return recalls.length === 0 ? null : recalls.reduce((sum, recall) => sum + recall, 0) / recalls.length;
}
