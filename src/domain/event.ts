/** Something that a user did. Times are milliseconds since 1970, UTC. */
export interface UserEvent {
  /** Chosen by the sender; the same id counts once. */
  event_id: string;
  user_id: string;
  item_id: string;
  type: string;
  at: number;
  watch_ms: number | null;
  /** Of the clip. */
  duration_ms: number | null;
  /** Watched share of the clip; above 1 when it looped. */
  watch_portion: number | null;
  recommendation_id: string | null;
  /** Whether the event makes its item part of the user's history. */
  positive: boolean;
}

/** Which events make their item part of the history. */
export interface PositiveRule {
  types: ReadonlySet<string>;
  /** A view counts only from this watched portion on. */
  portion: number;
  /** A view of a clip of unknown duration counts only from this watch time on. */
  watchMs: number;
}

type Watched = Pick<UserEvent, 'type' | 'watch_ms' | 'watch_portion'>;

/**
 * Whether an event is positive. A view needs the watched portion of the rule, or its watch time where the portion is unknown.
 * A view with neither counts as watched.
 */
export function isPositive({ type, watch_ms: watchMs, watch_portion: portion }: Watched, rule: PositiveRule): boolean {
  if (!rule.types.has(type)) return false;
  if (type !== 'view') return true;
  if (portion !== null) return portion >= rule.portion;
  return watchMs === null || watchMs >= rule.watchMs;
}

/** The duration of an item in milliseconds, by its attribute duration_s; null: unknown. */
export function durationOf(attributes: Record<string, unknown> | undefined): number | null {
  const seconds = attributes?.duration_s;
  return typeof seconds === 'number' && seconds > 0 ? seconds * 1000 : null;
}
