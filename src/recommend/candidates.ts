import type { Generation } from '../catalog/generation.js';
import type { SearchJob, Searched } from '../model/recommender-pool.js';
import type { RecommendRequest, Recommended, Timings } from './request.js';
import { applyRules, type Limits } from './rules.js';

/** Made when a worker takes the job: slots are looked up as late as possible. Null: nothing to search for any more. */
export type MakeJob = (count: number) => SearchJob | null;

export const historyJob =
  ({ catalogue }: Generation, { exact, explain }: Pick<RecommendRequest, 'exact' | 'explain'>, history: readonly string[]): MakeJob =>
  (count) => {
    const slots = history.map((itemId) => catalogue.get(itemId)?.slot ?? null).filter((slot) => slot !== null);
    return slots.length === 0 ? null : { history: Int32Array.from(slots), near: null, count, exact, explain };
  };

export const similarJob =
  ({ catalogue }: Generation, itemId: string, exact: boolean): MakeJob =>
  (count) => {
    const slot = catalogue.get(itemId)?.slot ?? null;
    return slot === null ? null : { history: new Int32Array(0), near: slot, count, exact, explain: false };
  };

/**
 * Embeds and searches, in one hop to a worker; hidden, expired and withheld items may eat the candidates, so more are
 * fetched until there are k or the index is exhausted. Null when the job has nothing to search for.
 * @throws ReelfuseError 503 `overloaded`
 */
export async function fetchAllowed(
  { pool, catalogue }: Generation,
  makeJob: MakeJob,
  limits: Limits,
  timings: Timings,
): Promise<{ items: Recommended[]; found: Searched } | null> {
  let count = limits.k + limits.withheld.size;
  for (;;) {
    const wanted = count;
    const found = await pool.search(() => makeJob(wanted));
    if (found === null) return null;
    timings.queue += found.queueMs;
    timings.user_tower += found.towerMs;
    timings.search += found.searchMs;
    const before = performance.now();
    const items = applyRules(catalogue, found, limits, Date.now());
    timings.rules += performance.now() - before;
    if (items.length === limits.k || found.slots.length < count || count >= catalogue.size) return { items, found };
    count = Math.min(count * 4, catalogue.size);
  }
}
