import { Type, type Static } from 'typebox';
import type { FieldError } from '../errors.js';
import { compileSchema, fieldErrors } from '../schema.js';
import type { EventWrite } from '../store/store.js';
import { Id } from './item-input.js';

const TYPES = ['impression', 'view', 'skip', 'like', 'dislike', 'share', 'save', 'comment', 'follow'] as const;
const ALWAYS_POSITIVE = new Set<string>(['like', 'share', 'save', 'comment', 'follow']);

/** Clocks of phones are wrong; a day is tolerated, a year in the future is a mistake. */
const MAX_FUTURE_MS = 24 * 3600 * 1000;

export const EventBody = Type.Object(
  {
    event_id: Type.String({ minLength: 1, maxLength: 128, description: 'chosen by the sender; the same id is counted once' }),
    user_id: Id,
    item_id: Id,
    type: Type.Union(TYPES.map((type) => Type.Literal(type))),
    at: Type.String({ format: 'date-time', description: 'RFC 3339; late and out-of-order events are welcome' }),
    watch_ms: Type.Optional(Type.Union([Type.Integer({ minimum: 0 }), Type.Null()])),
    duration_ms: Type.Optional(Type.Union([Type.Integer({ minimum: 1 }), Type.Null()])),
    recommendation_id: Type.Optional(Type.Union([Id, Type.Null()])),
  },
  { additionalProperties: false },
);
type EventBody = Static<typeof EventBody>;

const validate = compileSchema(EventBody);

/** A view is positive from the watched portion on; one that carries no watch time counts as watched. */
const isPositive = ({ type, watch_ms: watched, duration_ms: duration }: EventBody, portion: number): boolean => {
  if (ALWAYS_POSITIVE.has(type)) return true;
  if (type !== 'view') return false;
  return watched == null || duration == null || watched >= portion * duration;
};

/** @param prefix where the event stands in the input, for pointers */
export function parseEvent(value: unknown, prefix: string, settings: { positivePortion: number; now: number }): EventWrite | FieldError[] {
  if (!validate(value)) return fieldErrors(validate.errors, prefix);
  const body = value as EventBody; // validated above
  const at = Date.parse(body.at);
  if (at > settings.now + MAX_FUTURE_MS) return [{ pointer: `${prefix}/at`, detail: 'lies more than a day in the future' }];
  return {
    event_id: body.event_id,
    user_id: body.user_id,
    item_id: body.item_id,
    type: body.type,
    at,
    watch_ms: body.watch_ms ?? null,
    duration_ms: body.duration_ms ?? null,
    recommendation_id: body.recommendation_id ?? null,
    positive: isPositive(body, settings.positivePortion),
  };
}
