import { Type, type Static } from 'typebox';
import { EVENT_NAMES } from '../config.js';
import { isPositive, type PositiveRule, type UserEvent } from '../domain/event.js';
import { CLOCK_TOLERANCE_MS } from '../domain/item.js';
import type { FieldError } from '../errors.js';
import { compileSchema, fieldErrors } from '../schema.js';
import { checkedTime } from '../time.js';
import { Id, PLAIN_TEXT } from './item-input.js';

export const MAX_EVENT_ID_LENGTH = 128;

export const EventBody = Type.Object(
  {
    event_id: Type.String({
      minLength: 1,
      maxLength: MAX_EVENT_ID_LENGTH,
      pattern: PLAIN_TEXT,
      description: 'Id chosen by the sender. Events with the same id count once.',
    }),
    user_id: Id,
    item_id: Id,
    type: Type.Union(EVENT_NAMES.map((type) => Type.Literal(type))),
    at: Type.String({
      format: 'date-time',
      description: 'RFC 3339. Late and out-of-order events are accepted. Up to a day ahead of the server’s clock it counts as the time of arrival.',
    }),
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

/** An event as it was sent. Its watched portion may be missing; completeEvent derives it from the duration of the item. */
export type SentEvent = Omit<UserEvent, 'positive'>;

/** @param prefix JSON pointer of the event within the input */
export function parseEvent(value: unknown, prefix: string, now: number): SentEvent | FieldError[] {
  const errors = validate(value);
  if (errors !== null) return fieldErrors(errors, prefix);
  const body = value as EventBody; // validated above
  const at = checkedTime(body.at);
  if (at > now + CLOCK_TOLERANCE_MS)
    return [{ pointer: `${prefix}/at`, detail: `lies more than a day in the future: the server's clock shows ${new Date(now).toISOString()}` }];
  return {
    event_id: body.event_id,
    user_id: body.user_id,
    item_id: body.item_id,
    type: body.type,
    at: Math.min(at, now), // nothing happens after it is known
    watch_ms: body.watch_ms ?? null,
    duration_ms: body.duration_ms ?? null,
    watch_portion: body.watch_portion ?? null,
    recommendation_id: body.recommendation_id ?? null,
  };
}

/** Whether the watched portion can only be derived from the duration of the item. */
export const needsDuration = ({ watch_portion: portion, watch_ms: watched, duration_ms: duration }: SentEvent): boolean =>
  portion === null && watched !== null && duration === null;

/** Derives the watched portion, and whether the event is positive. @param itemDuration milliseconds; null: unknown, or not needed */
export function completeEvent(sent: SentEvent, itemDuration: number | null, rule: PositiveRule): UserEvent {
  const duration = sent.duration_ms ?? itemDuration;
  const portion = sent.watch_portion ?? (sent.watch_ms === null || duration === null ? null : sent.watch_ms / duration);
  const { event_id, user_id, item_id, type, at, watch_ms, duration_ms, recommendation_id } = sent;
  const positive = isPositive({ type, watch_ms, watch_portion: portion }, rule);
  // field by field: an object made by a spread takes longer to send to the writer thread
  return { event_id, user_id, item_id, type, at, watch_ms, duration_ms, watch_portion: portion, recommendation_id, positive };
}
