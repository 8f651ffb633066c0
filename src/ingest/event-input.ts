import { Type, type Static } from 'typebox';
import { EVENT_NAMES, type Config } from '../config.js';
import type { FieldError } from '../errors.js';
import { compileSchema, fieldErrors } from '../schema.js';
import type { EventWrite } from '../store/store.js';
import { checkedTime } from '../time.js';
import { Id } from './item-input.js';

/** Which events make their item part of the history. */
export interface PositiveRule {
  types: ReadonlySet<string>;
  /** A view counts only from this watched portion on. */
  portion: number;
  /** A view of a clip of unknown duration counts only from this watch time on. */
  watchMs: number;
}

export const positiveRule = (config: Pick<Config, 'positiveEvents' | 'positiveWatchPortion' | 'positiveWatchMs'>): PositiveRule => ({
  types: new Set(config.positiveEvents),
  portion: config.positiveWatchPortion,
  watchMs: config.positiveWatchMs,
});

export interface EventSettings {
  positives: PositiveRule;
  /** Of an item, where it is known. */
  attributesOf: (itemId: string) => Record<string, unknown> | undefined;
  now: number;
}

/** Clocks of phones are wrong; a day is tolerated, a year in the future is a mistake. */
const MAX_FUTURE_MS = 24 * 3600 * 1000;

export const EventBody = Type.Object(
  {
    event_id: Type.String({ minLength: 1, maxLength: 128, description: 'Id chosen by the sender. Events with the same id count once.' }),
    user_id: Id,
    item_id: Id,
    type: Type.Union(EVENT_NAMES.map((type) => Type.Literal(type))),
    at: Type.String({ format: 'date-time', description: 'RFC 3339. Late and out-of-order events are accepted.' }),
    watch_ms: Type.Optional(Type.Union([Type.Integer({ minimum: 0 }), Type.Null()])),
    duration_ms: Type.Optional(
      Type.Union([
        Type.Integer({ minimum: 1, description: 'Duration of the clip, ms. Default: the attribute duration_s of the item.' }),
        Type.Null(),
      ]),
    ),
    watch_portion: Type.Optional(
      Type.Union([
        Type.Number({
          minimum: 0,
          maximum: 1000,
          description: 'Watched portion, instead of watch_ms and duration_ms. Above 1 when the clip looped.',
        }),
        Type.Null(),
      ]),
    ),
    recommendation_id: Type.Optional(Type.Union([Id, Type.Null()])),
  },
  { additionalProperties: false },
);
type EventBody = Static<typeof EventBody>;

const validate = compileSchema(EventBody);

/** A view is positive from the watched portion on, or from the watch time on where that is all there is; without either it counts as watched. */
function isPositive({ type, watch_ms: watched }: EventBody, portion: number | null, rule: PositiveRule): boolean {
  if (!rule.types.has(type)) return false;
  if (type !== 'view') return true;
  if (portion !== null) return portion >= rule.portion;
  return watched == null || watched >= rule.watchMs;
}

function watchedPortion({ watch_portion: portion, watch_ms: watched, duration_ms: sent, item_id: itemId }: EventBody, settings: EventSettings) {
  if (portion != null) return portion;
  if (watched == null) return null;
  const duration = sent ?? durationOf(settings.attributesOf(itemId));
  return duration === null ? null : watched / duration;
}

/** Milliseconds, by the attribute duration_s. */
function durationOf(attributes: Record<string, unknown> | undefined): number | null {
  const seconds = attributes?.duration_s;
  return typeof seconds === 'number' && seconds > 0 ? seconds * 1000 : null;
}

/** @param prefix where the event stands in the input, for pointers */
export function parseEvent(value: unknown, prefix: string, settings: EventSettings): EventWrite | FieldError[] {
  if (!validate(value)) return fieldErrors(validate.errors, prefix);
  const body = value as EventBody; // validated above
  const at = checkedTime(body.at);
  if (at > settings.now + MAX_FUTURE_MS) return [{ pointer: `${prefix}/at`, detail: 'lies more than a day in the future' }];
  const portion = watchedPortion(body, settings);
  return {
    event_id: body.event_id,
    user_id: body.user_id,
    item_id: body.item_id,
    type: body.type,
    at,
    watch_ms: body.watch_ms ?? null,
    duration_ms: body.duration_ms ?? null,
    watch_portion: portion,
    recommendation_id: body.recommendation_id ?? null,
    positive: isPositive(body, portion, settings.positives),
  };
}
