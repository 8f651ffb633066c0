import { pino } from 'pino';
import { stringify } from 'yaml';
import { buildApp, type Routes } from '../app.js';
import { readConfig } from '../config.js';
import { createMetrics } from '../metrics.js';

/** Stands in for the dependencies of a route file: registering routes reads none of them. */
const unopened = (name: string): never =>
  new Proxy(
    {},
    {
      get: (_, member) => {
        throw new Error(`the routes ${name} read ${String(member)} while they were registered`);
      },
    },
  ) as never; // nothing is ever read of it

const NAMES = {
  recommendations: true,
  items: true,
  itemBatch: true,
  attributes: true,
  events: true,
  users: true,
  map: true,
  models: true,
  reports: true,
  replicas: true,
  snapshots: true,
  operations: true,
} as const satisfies Record<keyof Routes, true>;

/** The OpenAPI description as YAML, from the routes alone: no model, thread, database or file is opened. */
export async function describeRoutes(): Promise<string> {
  const routes: Routes = Object.fromEntries(Object.keys(NAMES).map((name) => [name, unopened(name)])) as never; // one for each name
  const app = await buildApp({ config: readConfig({}), log: pino({ level: 'silent' }), metrics: createMetrics(), tracing: null }, routes);
  const description = app.swagger();
  await app.close();
  return stringify(description, { lineWidth: 120, aliasDuplicateObjects: false });
}
