import { Type } from 'typebox';
import { EventBody } from '../ingest/event-input.js';
import type { IngestedEvents } from '../ingest/events.js';
import { MIB, type BodyLimits } from './body/limits.js';
import { FieldErrorSchema, problemContent, problemResponses } from './problem.js';
import type { TypedApp } from './typed-app.js';
import { validatorCompiler } from './validation.js';

const MAX_EVENTS = 10_000;

/** An event has up to 9 fields. */
const EVENTS_BODY: BodyLimits = { maxBytes: 16 * MIB, maxValues: 15 * MAX_EVENTS, rows: { maxBytes: 16 * 1024, maxValues: 1000 } };

const Body = Type.Object({ events: Type.Array(EventBody, { minItems: 1, maxItems: MAX_EVENTS }) }, { additionalProperties: false });
/** The schema of the envelope only: each event is checked by itself. */
const Envelope = Type.Object({ events: Type.Array(Type.Unknown(), { minItems: 1, maxItems: MAX_EVENTS }) }, { additionalProperties: false });
const validateEnvelope = validatorCompiler({ schema: Envelope, httpPart: 'body' });

const Answer = Type.Object({
  accepted: Type.Integer(),
  duplicates: Type.Integer({ description: 'Events whose event_id was known already.' }),
  rejected: Type.Array(Type.Object({ index: Type.Integer(), event_id: Type.Optional(Type.String()), errors: Type.Array(FieldErrorSchema) })),
  sequence: Type.Integer(),
});

/** Every event was rejected, or the body is no list of events. */
const Refused = {
  description: 'Every event was rejected, or the request is refused.',
  content: { 'application/json': { schema: Answer }, ...problemContent },
};

export interface EventRoutes {
  ingestEvents(rows: readonly unknown[]): Promise<IngestedEvents>;
}

export function registerEvents(app: TypedApp, routes: EventRoutes): void {
  app.post(
    '/v1/events',
    {
      config: { scope: 'write', body: EVENTS_BODY },
      schema: {
        tags: ['events'],
        operationId: 'sendEvents',
        summary: `Send what users did, up to ${MAX_EVENTS.toLocaleString('en')} events; durable when this returns, and known to the next answer`,
        description: 'An event counts once for its event_id. 422 when every event was rejected, 207 when some were, else 200.',
        body: Body,
        response: { 200: Answer, 207: Answer, 422: Refused, ...problemResponses },
      },
      validatorCompiler: () => validateEnvelope,
    },
    async ({ body }, reply) => {
      const ingested = await routes.ingestEvents(body.events);
      void reply.status(statusOf(ingested));
      return ingested;
    },
  );
}

function statusOf({ accepted, duplicates, rejected }: IngestedEvents): 200 | 207 | 422 {
  if (rejected.length === 0) return 200;
  return accepted + duplicates === 0 ? 422 : 207;
}
