import { setImmediate as nextTurn } from 'node:timers/promises';
import type { EventStore, PositiveEvent } from '../store/events.js';
import type { ServedEntry, ServedLog } from '../store/served-log.js';

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
  /** Answers of the fallback ranking, and similar items, are groups of their own kind. */
  fallback: boolean;
  surface: 'feed' | 'similar';
  /** Number of items with a positive event that names an answer of this group; each item counts once for an answer. */
  events: number;
  hr_at_10: Estimate;
  hr_at_20: Estimate;
  ndcg_at_10: Estimate;
}

export interface Quality {
  since: number;
  groups: QualityGroup[];
  /** Number of positive events that name no answer, an answer that is no longer kept, or one that was served after them. */
  unattributed: number;
  /** True: there were more events than one report reads, and the oldest are left out. */
  truncated: boolean;
}

/** Events read in one turn of the event loop: about a millisecond. */
const PAGE = 1000;
const MAX_EVENTS = 200_000;
const Z = 1.96;
/** Tolerated clock difference between phones and servers: an event may seem to precede its answer by this time. */
const CLOCK_TOLERANCE_MS = 5 * 60_000;

/**
 * Wilson's score interval (1927) for the mean of values between 0 and 1. A mean m of such values has a variance of at
 * most m (1 - m) (Bhatia and Davis, 2000), with equality for hits and misses: of a share it is the usual interval, of
 * graded gains it is somewhat too wide, and it is honest for a single value, for none but hits and for none but misses.
 */
export function meanOf(sum: number, total: number): Estimate {
  if (total === 0) return { value: 0, low: 0, high: 1 };
  const mean = sum / total;
  const centre = (mean + (Z * Z) / (2 * total)) / (1 + (Z * Z) / total);
  const half = (Z / (1 + (Z * Z) / total)) * Math.sqrt((mean * (1 - mean)) / total + (Z * Z) / (4 * total * total));
  return { value: mean, low: Math.max(0, centre - half), high: Math.min(1, centre + half) };
}

type Named = PositiveEvent & { recommendation_id: string };
const isNamed = (event: PositiveEvent): event is Named => event.recommendation_id !== null;

/**
 * Prequential evaluation: every item with a positive event is judged by the answer that the event names, by the rank
 * that the item had there, counted over the pages of a session; an item that was not in the answer is a miss. Answers
 * count by the time they were served, because the time of an event is the client's. Those of a time when the clock was ahead are left out.
 */
export async function measureQuality(
  events: Pick<EventStore, 'positives'>,
  served: Pick<ServedLog, 'read' | 'first'>,
  since: number,
  now: number,
): Promise<Quality> {
  const { named, unnamed, truncated } = await newestEvents(events, (await served.first(since))?.sequence ?? 0);
  const groups = new Map<string, Group>();
  const judged = new Set<string>();
  let unattributed = unnamed;
  for (let first = 0; first < named.length; first += PAGE) {
    const page = named.slice(first, first + PAGE);
    const entries = await served.read(new Set(page.map(({ recommendation_id: id }) => id)));
    for (const { recommendation_id: id, item_id: itemId, at } of page) {
      const entry = entries.get(id);
      if (entry === undefined || at < entry.at - CLOCK_TOLERANCE_MS) {
        unattributed++;
        continue;
      }
      const pair = `${id} ${itemId}`;
      if (entry.at < since || entry.at > now + CLOCK_TOLERANCE_MS || judged.has(pair)) continue;
      judged.add(pair);
      judge(groupOf(groups, entry), entry, itemId);
    }
    await nextTurn();
  }
  return { since, groups: [...groups.values()].map(present), unattributed, truncated };
}

/** Positive events after a change, by their order of arrival: the newest that name an answer, and how many name none. */
async function newestEvents(
  events: Pick<EventStore, 'positives'>,
  sequence: number,
): Promise<{ named: Named[]; unnamed: number; truncated: boolean }> {
  let named: Named[] = [];
  let unnamed = 0;
  let truncated = false;
  for (let after = sequence; ;) {
    const page = await events.positives(0, after, PAGE);
    for (const event of page)
      if (isNamed(event)) named.push(event);
      else unnamed++;
    if (named.length > MAX_EVENTS) truncated = true;
    if (named.length > 2 * MAX_EVENTS) named = named.slice(-MAX_EVENTS);
    after = page.at(-1)?.sequence ?? after;
    if (page.length < PAGE) return { named: named.slice(-MAX_EVENTS), unnamed, truncated };
    await nextTurn();
  }
}

interface Group {
  entry: ServedEntry;
  events: number;
  hits10: number;
  hits20: number;
  gain: number;
}

const surfaceOf = ({ request }: ServedEntry): QualityGroup['surface'] => (request.similar_to === undefined ? 'feed' : 'similar');

function groupOf(groups: Map<string, Group>, entry: ServedEntry): Group {
  const key = JSON.stringify([entry.fingerprint, entry.experiment, entry.fallback !== null, surfaceOf(entry)]);
  const group = groups.get(key) ?? { entry, events: 0, hits10: 0, hits20: 0, gain: 0 };
  groups.set(key, group);
  return group;
}

function judge(group: Group, { items, offset }: ServedEntry, itemId: string): void {
  group.events++;
  const position = items.findIndex((item) => item.item_id === itemId);
  if (position === -1) return;
  const rank = offset + position + 1;
  if (rank <= 20) group.hits20++;
  if (rank > 10) return;
  group.hits10++;
  group.gain += 1 / Math.log2(rank + 1);
}

const present = ({ entry, events, hits10, hits20, gain }: Group): QualityGroup => ({
  model: { fingerprint: entry.fingerprint, version: entry.version },
  experiment: entry.experiment?.name ?? null,
  arm: entry.experiment?.arm ?? null,
  fallback: entry.fallback !== null,
  surface: surfaceOf(entry),
  events,
  hr_at_10: meanOf(hits10, events),
  hr_at_20: meanOf(hits20, events),
  ndcg_at_10: meanOf(gain, events),
});
