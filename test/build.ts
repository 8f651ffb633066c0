import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext } from 'node:test';
import { pino, type Logger } from 'pino';
import { buildApp } from '../src/app.js';
import type { Features } from '../src/ingest/features.js';
import { openFeatures } from '../src/ingest/import-items.js';
import { demoFile } from '../src/generations/model-choice.js';
import { systemClock, type Clock } from '../src/clock.js';
import { readConfig } from '../src/config.js';
import type { TypedApp } from '../src/http/typed-app.js';
import { openServer, type Server, type LoadedCatalogue } from '../src/composition/server.js';
import { api, type Api } from './api.js';
import { writeOtherModel, type OtherModel } from './other-model.js';
import { temporaryFolder } from './temporary-folder.js';

export const DEMO_ARTIFACT = demoFile('artifact');

export interface Built {
  app: TypedApp;
  api: Api;
  services: Server;
  dataDir: string;
  /** What the start took from a snapshot; null: nothing. */
  restored: { snapshot: string; adopted: number; replayed: number } | null;
  /** Ends the server; called by itself when the test is over. */
  stop: () => Promise<void>;
}

/** A whole server over the bundled model with an empty catalogue, on real engines; requests are injected. */
export async function build(
  t: Pick<TestContext, 'after'>,
  environment: Record<string, string> = {},
  clock: Clock = systemClock,
  { load = true, log = pino({ level: 'silent' }) as Logger } = {},
): Promise<Built> {
  const own = environment.REELFUSE_DATA_DIR === undefined ? mkdtempSync(join(tmpdir(), 'reelfuse-test-')) : null;
  const dataDir = environment.REELFUSE_DATA_DIR ?? own ?? '';
  const config = readConfig({
    REELFUSE_DATA_DIR: dataDir,
    REELFUSE_MODEL_DIR: DEMO_ARTIFACT,
    REELFUSE_EXECUTION_PROVIDERS: 'cpu',
    REELFUSE_RECOMMENDER_WORKERS: '1',
    ...environment,
  });
  const services = await openServer(config, log, clock);
  const app = await buildApp(services, services.routes);
  let stopped = false;
  const stop = async (): Promise<void> => {
    if (stopped) return;
    stopped = true;
    await app.close();
    await services.close();
  };
  t.after(async () => {
    await stop();
    if (own !== null) rmSync(own, { recursive: true, force: true }); // only after the store has let go of it
  });
  const restored = load ? restoredBy(await services.load()) : null;
  return { app, api: api({ app }), services, dataDir, restored, stop };
}

/** What `t` is to a test, for a suite: what is given to its `after` runs, in reverse, when the suite is over. For use inside `describe`. */
export function suiteContext(): Pick<TestContext, 'after'> {
  const tasks: (() => unknown)[] = [];
  after(async () => {
    for (const task of tasks.reverse()) await task();
  });
  return { after: (task) => void tasks.push(task as () => unknown) };
}

/** One server for all tests of the suite that this is called in: it starts before the first, and ends after the last. */
export function buildForSuite(
  environment: Record<string, string> = {},
  prepare: (built: Built) => Promise<unknown> = async () => undefined,
): Pick<Built, 'app' | 'api' | 'services'> {
  const suite = suiteContext();
  let built: Built | null = null;
  const opened = (): Built => {
    if (built === null) throw new Error('the server of a suite is there for its tests alone');
    return built;
  };
  before(async () => {
    built = await build(suite, environment);
    await prepare(built);
  });
  return {
    get app() {
      return opened().app;
    },
    get api() {
      return opened().api;
    },
    get services() {
      return opened().services;
    },
  };
}

const restoredBy = ({ snapshot, restored, replayed }: LoadedCatalogue): Built['restored'] =>
  snapshot === null ? null : { snapshot, adopted: restored, replayed };

let demo: Features | undefined;

/** Hidden states of a demo clip as they travel in JSON. */
export function demoStates(itemId: string): { dtype: 'float16' | 'float32'; shape: [number, number]; data: string } {
  demo ??= openFeatures(demoFile('hidden_states.safetensors'), null);
  const states = demo.read(itemId);
  if (states === null) throw new Error(`the demo has no clip ${itemId}`);
  return { dtype: states.dtype, shape: states.shape, data: Buffer.from(states.data).toString('base64') };
}

export const clip = (number: number): string => `clip-${String(number).padStart(4, '0')}`;

/** Puts demo clips 1 to n. */
export async function putClips(app: TypedApp, count: number): Promise<void> {
  const items = Array.from({ length: count }, (_, index) => ({
    item_id: clip(index + 1),
    title: `title of ${clip(index + 1)}`,
    author_id: 'a1',
    hidden_states: demoStates(clip(index + 1)),
  }));
  const answer = await app.inject({ method: 'POST', url: '/v1/items/batch', payload: { items } });
  if (answer.statusCode !== 200) throw new Error(answer.body);
}

export const view = (eventId: string, userId: string, itemId: string, at = '2026-11-24T10:00:00Z') => ({
  event_id: eventId,
  user_id: userId,
  item_id: itemId,
  type: 'view',
  at,
});

/** Another model than the bundled one, with other scores; `change` may damage a file before its digest is taken. */
export async function otherModel(t: Pick<TestContext, 'after'>, change: OtherModel['change'] = null): Promise<string> {
  const folder = join(temporaryFolder(t), 'artifact');
  await writeOtherModel(folder, { version: 'next', change });
  return folder;
}
