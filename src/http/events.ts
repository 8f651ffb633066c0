import { Type } from 'typebox';
import { EventBody, parseEvent, positiveRule } from '../ingest/event-input.js';
import type { Services } from '../composition/embedded.js';
import type { EventWrite } from '../store/store.js';
import { FieldErrorSchema, problemResponses } from './problem.js';
import type { TypedApp } from './typed-app.js';
import { validatorCompiler } from './validation.js';

const MAX_EVENTS = 10_000;

const Body = Type.Object({ events: Type.Array(EventBody, { minItems: 1, maxItems: MAX_EVENTS }) }, { additionalProperties: false });
/** Events are judged one by one, so that a bad one does not take the good ones down. */
const Envelope = Type.Object({ events: Type.Array(Type.Unknown(), { minItems: 1, maxItems: MAX_EVENTS }) }, { additionalProperties: false });
const validateEnvelope = validatorCompiler({ schema: Envelope, httpPart: 'body' });

const Answer = Type.Object({
  accepted: Type.Integer(),
  duplicates: Type.Integer({ description: 'Events whose event_id was known already.' }),
  rejected: Type.Array(Type.Object({ index: Type.Integer(), event_id: Type.Optional(Type.String()), errors: Type.Array(FieldErrorSchema) })),
  sequence: Type.Integer(),
});

export function registerEvents(app: TypedApp, services: Services): void {
  const { store, popularity, config } = services;
  const positives = positiveRule(config);
  const attributesOf = (itemId: string) => (services.generation.catalogue.get(itemId)?.fields ?? store.item(itemId))?.attributes;
  app.post(
    '/v1/events',
    {
      config: { scope: 'write' },
      schema: {
        tags: ['events'],
        operationId: 'sendEvents',
        summary: `Send what users did, up to ${MAX_EVENTS.toLocaleString('en')} events; durable when this returns, and known to the next answer`,
        description: 'An event counts once for its event_id. 422 when every event was rejected, 207 when some were, else 200.',
        body: Body,
        response: { 200: Answer, 207: Answer, 422: Answer, '4xx': problemResponses['4xx'], '5xx': problemResponses['5xx'] },
      },
      validatorCompiler: () => validateEnvelope,
    },
    async ({ body }, reply) => {
      const rows: unknown[] = body.events;
      const settings = { positives, attributesOf, now: Date.now() };
      const events: EventWrite[] = [];
      const rejected: { index: number; event_id?: string; errors: { pointer: string; detail: string }[] }[] = [];
      rows.forEach((row, index) => {
        const parsed = parseEvent(row, `/events/${index}`, settings);
        if (!Array.isArray(parsed)) events.push(parsed);
        else {
          const id = (row as { event_id?: unknown } | null)?.event_id;
          rejected.push({ index, ...(typeof id === 'string' && { event_id: id }), errors: parsed });
        }
      });
      if (events.length === 0) {
        void reply.status(422);
        return { accepted: 0, duplicates: 0, rejected, sequence: store.sequence() };
      }
      const { accepted, sequence } = await store.appendEvents(events);
      let count = 0;
      events.forEach((event, index) => {
        if (accepted[index] !== true) return;
        count++;
        if (event.positive) popularity.add(event.item_id, event.at);
        if (event.type === 'impression') popularity.show(event.item_id, 1);
      });
      void reply.status(rejected.length > 0 ? 207 : 200);
      return { accepted: count, duplicates: events.length - count, rejected, sequence };
    },
  );
}
