import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ServedEntry, ServedLog } from '../store/served-log.js';
import type { Store } from '../store/store.js';

/** A mean with its 95 % confidence interval. */
export interface Estimate {
  value: number;
  low: number;
  high: number;
}

export interface QualityGroup {
  model: { fingerprint: string; version: string };
  experiment: string | null;
  arm: string | null;
  /** Answers of the fallback ranking are judged apart. */
  fallback: boolean;
  /** Positive events that name an answer of this group. */
  events: number;
  hr_at_10: Estimate;
  hr_at_20: Estimate;
  ndcg_at_10: Estimate;
}

export interface Quality {
  since: number;
  groups: QualityGroup[];
  /** Positive events that name no recommendation, or one that is not known any more. */
  unattributed: number;
  /** More events than one report goes through. */
  truncated: boolean;
}

const PAGE = 1000;
const MAX_EVENTS = 200_000;
const Z = 1.96;

/** Wilson's score interval of a share. */
export function shareOf(hits: number, total: number): Estimate {
  if (total === 0) return { value: 0, low: 0, high: 1 };
  const share = hits / total;
  const centre = (share + (Z * Z) / (2 * total)) / (1 + (Z * Z) / total);
  const half = (Z / (1 + (Z * Z) / total)) * Math.sqrt((share * (1 - share)) / total + (Z * Z) / (4 * total * total));
  return { value: share, low: Math.max(0, centre - half), high: Math.min(1, centre + half) };
}

function meanOf(sum: number, squares: number, total: number): Estimate {
  if (total === 0) return { value: 0, low: 0, high: 1 };
  const mean = sum / total;
  const half = Z * Math.sqrt(Math.max(0, squares / total - mean * mean) / total);
  return { value: mean, low: Math.max(0, mean - half), high: Math.min(1, mean + half) };
}

/**
 * Prequential evaluation: every positive event since then is judged by the answer that it names, by the rank that its
 * item had there; an item that was not in the answer is a miss. Grouped by model, experiment arm and fallback.
 */
export async function measureQuality(store: Pick<Store, 'positives'>, served: Pick<ServedLog, 'read'>, since: number): Promise<Quality> {
  const groups = new Map<string, { entry: ServedEntry; events: number; hits10: number; hits20: number; gain: number; squares: number }>();
  let unattributed = 0;
  let seen = 0;
  let after = 0;
  for (;;) {
    const events = store.positives(since, after, PAGE);
    for (const { recommendation_id: id, item_id: itemId } of events) {
      const entry = id === null ? null : await served.read(id);
      if (entry === null) {
        unattributed++;
        continue;
      }
      const key = JSON.stringify([entry.fingerprint, entry.experiment, entry.fallback !== null]);
      const group = groups.get(key) ?? { entry, events: 0, hits10: 0, hits20: 0, gain: 0, squares: 0 };
      groups.set(key, group);
      const rank = entry.items.findIndex((item) => item.item_id === itemId) + 1;
      group.events++;
      if (rank === 0) continue;
      if (rank <= 20) group.hits20++;
      if (rank > 10) continue;
      const gain = 1 / Math.log2(rank + 1);
      group.hits10++;
      group.gain += gain;
      group.squares += gain * gain;
    }
    seen += events.length;
    after = events.at(-1)?.sequence ?? after;
    if (events.length < PAGE || seen >= MAX_EVENTS) break;
    await nextTurn();
  }
  return {
    since,
    groups: [...groups.values()].map(({ entry, events, hits10, hits20, gain, squares }) => ({
      model: { fingerprint: entry.fingerprint, version: entry.version },
      experiment: entry.experiment?.name ?? null,
      arm: entry.experiment?.arm ?? null,
      fallback: entry.fallback !== null,
      events,
      hr_at_10: shareOf(hits10, events),
      hr_at_20: shareOf(hits20, events),
      ndcg_at_10: meanOf(gain, squares, events),
    })),
    unattributed,
    truncated: seen >= MAX_EVENTS,
  };
}
