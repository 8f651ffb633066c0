import { Type } from 'typebox';
import { UNKNOWN_TIME } from '../domain/item.js';
import type { ErasedUser } from '../ingest/erasure.js';
import { KnownId } from '../ingest/item-input.js';
import type { UserHistory } from '../ingest/user-history.js';
import type { EventStore } from '../store/events.js';
import { FieldNames, presentFields } from './fields.js';
import { problemResponses } from './problem.js';
import type { TypedApp } from './typed-app.js';

const Entry = Type.Object({
  item_id: Type.String(),
  at: Type.Unsafe<string | null>({ type: ['string', 'null'], description: 'null: the event was imported without a time.' }),
  type: Type.String(),
  item: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
});

const ErasedSchema = Type.Object({
  user_id: Type.String(),
  events_deleted: Type.Integer(),
  sequence: Type.Integer(),
  complete: Type.Boolean({ description: 'false: the files still hold what was erased.' }),
});
const RETRY_SECONDS = 5;

export interface UserRoutes {
  readHistory(userId: string, limit: number, withItems: boolean): Promise<UserHistory>;
  erasure: { eraseUser(userId: string, waitMs: number): Promise<ErasedUser> };
  events: Pick<EventStore, 'users'>;
  config: { erasureWaitSeconds: number };
}

export function registerUsers(app: TypedApp, routes: UserRoutes): void {
  app.get(
    '/v1/users/:user_id/history',
    {
      config: { scope: 'recommend' },
      schema: {
        tags: ['users'],
        operationId: 'getHistory',
        summary: 'List the positive events of a user, newest first',
        params: Type.Object({ user_id: KnownId }),
        querystring: Type.Object(
          { limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })), fields: Type.Optional(FieldNames) },
          { additionalProperties: false },
        ),
        response: { 200: Type.Object({ user_id: Type.String(), items: Type.Array(Entry), sequence: Type.Integer() }), ...problemResponses },
      },
    },
    async ({ params, query }) => {
      const fields = query.fields?.split(',') ?? [];
      const { entries, sequence } = await routes.readHistory(params.user_id, query.limit ?? 100, fields.length > 0);
      const items = entries.map(({ entry: { item_id, at, type }, item }) => ({
        item_id,
        at: at === UNKNOWN_TIME ? null : new Date(at).toISOString(),
        type,
        ...(item !== undefined && { item: presentFields(item.fields, fields) }),
      }));
      return { user_id: params.user_id, items, sequence };
    },
  );

  app.delete(
    '/v1/users/:user_id',
    {
      config: { scope: 'write' },
      schema: {
        tags: ['users'],
        operationId: 'eraseUser',
        summary: 'Erase a user: history and events, from memory and from the disk',
        description:
          'No answer knows the user when this returns. 200: the files hold nothing of the user either. 202: the files still do, because a reader such ' +
          'as a backup held an older state for longer than REELFUSE_ERASURE_WAIT_SECONDS. The server continues by itself, and the same call answers ' +
          '200 once it is done. An unknown user is erased with 0 events, so a retry is harmless.',
        params: Type.Object({ user_id: KnownId }),
        response: { 200: ErasedSchema, 202: ErasedSchema, ...problemResponses },
      },
    },
    async ({ params }, reply) => {
      const waitMs = routes.config.erasureWaitSeconds * 1000;
      const { events, sequence, filesPurged } = await routes.erasure.eraseUser(params.user_id, waitMs);
      if (!filesPurged) void reply.status(202).header('retry-after', String(RETRY_SECONDS));
      return { user_id: params.user_id, events_deleted: events, sequence, complete: filesPurged };
    },
  );

  app.get(
    '/v1/users',
    {
      config: { scope: 'admin' },
      schema: {
        tags: ['users'],
        operationId: 'listUsers',
        summary: 'List users with a history by user_id, one page a call',
        querystring: Type.Object(
          { limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })), cursor: Type.Optional(KnownId) },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({
            users: Type.Array(Type.Object({ user_id: Type.String(), events: Type.Integer() })),
            next_cursor: Type.Unsafe<string | null>({ type: ['string', 'null'] }),
          }),
          ...problemResponses,
        },
      },
    },
    async ({ query }) => {
      const limit = query.limit ?? 100;
      const users = await routes.events.users(query.cursor ?? null, limit);
      return { users, next_cursor: users.length === limit ? (users.at(-1)?.user_id ?? null) : null };
    },
  );
}
