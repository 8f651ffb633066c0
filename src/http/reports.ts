import { Type } from 'typebox';
import { ReelfuseError } from '../errors.js';
import type { Quality } from '../reports/quality.js';
import { problemResponses } from './problem.js';
import type { TypedApp } from './typed-app.js';

const Estimate = Type.Object({ value: Type.Number(), low: Type.Number(), high: Type.Number() });
const Nullable = Type.Unsafe<string | null>({ type: ['string', 'null'] });

const QualitySchema = Type.Object({
  since: Type.String(),
  groups: Type.Array(
    Type.Object({
      model: Type.Object({ fingerprint: Type.String(), version: Type.String() }),
      experiment: Nullable,
      arm: Nullable,
      fallback: Type.Boolean(),
      surface: Type.String({ description: 'feed | similar' }),
      events: Type.Integer({
        description: 'Number of items with a positive event that names an answer of this group. An item counts once an answer.',
      }),
      hr_at_10: Estimate,
      hr_at_20: Estimate,
      ndcg_at_10: Estimate,
    }),
  ),
  unattributed: Type.Integer({
    description: 'Number of positive events that name no answer, an answer that is no longer kept, or one that was served after them.',
  }),
  truncated: Type.Boolean({ description: 'true: there were more than 200,000 such events, and the oldest are left out.' }),
});

export interface ReportRoutes {
  /** Quality of the answers of the last hours; null: no answers are kept. */
  measureQuality: ((hours: number) => Promise<Quality>) | null;
}

export function registerReports(app: TypedApp, routes: ReportRoutes): void {
  app.get(
    '/v1/reports/quality',
    {
      config: { scope: 'admin' },
      schema: {
        tags: ['operations'],
        operationId: 'reportQuality',
        summary: 'Get HR and NDCG of what was served, by model and experiment arm, judged by positive events',
        description:
          'The report covers what was served in these hours, by the clock of the server. Intervals are 95 % by Wilson, and take items as independent. ' +
          'An event whose item is not in the answer that it names is a miss: let events name the last answer that the user was shown. Ranks continue ' +
          'over the pages of a session.',
        querystring: Type.Object(
          { hours: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 24 * 366, default: 24 })) },
          { additionalProperties: false },
        ),
        response: { 200: QualitySchema, ...problemResponses },
      },
    },
    async ({ query }) => {
      if (routes.measureQuality === null)
        throw new ReelfuseError(409, 'served_log_off', 'REELFUSE_SERVED_DAYS is 0: nothing is kept of what was served');
      const quality = await routes.measureQuality(query.hours ?? 24);
      return { ...quality, since: new Date(quality.since).toISOString() };
    },
  );
}
