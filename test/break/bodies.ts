import { call, type Reply } from './call.js';
import { LARGE, LARGE_BYTES, SMALL, type Body, type Subject } from './body-kinds.js';
import { startReady, type RunningServer } from './program.js';
import { routesOf, urlOf, valueOf, type Description, type Route } from './routes.js';
import type { Round, Trial } from './trial.js';

const MIB = 1024 * 1024;
/** Bounds of design: turns of the event loop a MiB of body, and memory as a multiple of it. */
const LOOP_MS = 50;
const LOOP_MS_A_MIB = 20;
const MEMORY_MIB = 160;
const MEMORY_MULTIPLE = 8;
const LIVE_MS = 2000;
const ATTEMPTS = 3;
/** Small bodies to each route in a round, all at once. */
const BURST = 16;

/** The longest turn of the event loop, ms, and the growth of the highest resident memory, MiB. */
interface Cost {
  loop: number;
  memory: number;
}

/** Hostile bodies to every route of the running server's own description. */
export async function bodies(trial: Trial): Promise<void> {
  let server = await start(trial);
  trial.after(async () => void (await server.end('SIGTERM')));
  const description = JSON.parse((await call(server.url, 'GET', '/openapi.json')).text) as Description;
  const routes = routesOf(description);
  const worst = new Map<string, Cost & { statuses: Set<number>; sent: number }>();

  const note = (kind: string, route: Route, status: number, { loop, memory }: Cost): void => {
    const key = `${kind}\t${route.name}`;
    const known = worst.get(key) ?? { statuses: new Set(), loop: 0, memory: 0, sent: 0 };
    known.statuses.add(status);
    worst.set(key, { ...known, loop: Math.max(known.loop, loop), memory: Math.max(known.memory, memory), sent: known.sent + 1 });
  };

  let starting: Promise<void> | null = null;
  /** One new process, however many requests met the death of the old one. */
  const startAgain = (): Promise<void> =>
    (starting ??= start(trial).then((next) => {
      trial.count('deaths');
      server = next;
      starting = null;
    }));

  /** @returns what the server spent on the body; null: it died */
  const send = async (round: Round, route: Route, kind: string, path: string, body: Body, isMeasured: boolean): Promise<Cost | null> => {
    const where = `${kind} to ${route.method} ${path}`;
    const before = isMeasured ? await memoryOf(server) : 0;
    const pending = call(server.url, route.method, path, body.bytes, { ...body.headers, 'content-length': body.bytes.length });
    const live = isMeasured ? call(server.url, 'GET', '/livez', null, {}, 30_000) : null;
    const reply = await pending;
    trial.count('requests');
    if (live !== null && (await live).status !== 200) trial.wrong(round, `${where}: /livez gave ${(await live).status} ${(await live).text}`);
    if (!server.isAlive()) {
      trial.wrong(round, `${where}: the process died: ${server.output().slice(-300)}`);
      await startAgain();
      return null;
    }
    const problem = faultOf(reply, route);
    if (problem !== null) trial.wrong(round, `${where}: ${problem}`);
    const cost = { loop: 0, memory: 0 };
    if (isMeasured) {
      cost.loop = Math.round((await server.probe()).loop_ms);
      cost.memory = Math.max(0, Math.round((server.peakMemory() - before) / MIB));
    }
    note(kind, route, reply.status, cost);
    return cost;
  };

  /** Costs count where they come each time: the machine may be busy with other things. */
  const measure = async (round: Round, route: Route, kind: string, body: Body): Promise<void> => {
    const path = urlOf(route, round.random);
    const size = body.size / MIB;
    const bounds: Cost = { loop: LOOP_MS + LOOP_MS_A_MIB * size, memory: MEMORY_MIB + MEMORY_MULTIPLE * size };
    const least: Cost = { loop: Infinity, memory: Infinity };
    for (let attempt = 0; attempt < ATTEMPTS && (least.loop > bounds.loop || least.memory > bounds.memory); attempt++) {
      const cost = await send(round, route, kind, path, body, true);
      if (cost === null) return;
      least.loop = Math.min(least.loop, cost.loop);
      least.memory = Math.min(least.memory, cost.memory);
    }
    const where = `${kind} to ${route.method} ${path} (${size.toFixed(1)} MiB)`;
    if (least.loop > bounds.loop) trial.wrong(round, `${where}: the event loop stood for ${least.loop} ms`);
    if (least.memory > bounds.memory) trial.wrong(round, `${where}: memory grew by ${least.memory} MiB`);
  };

  const subjectOf = (route: Route, { random }: Round): Subject => ({ route, value: route.body === null ? {} : valueOf(route.body, random), random });
  const sendSmall = async (round: Round, route: Route): Promise<void> => {
    const [kind, make] = round.random.pick(Object.entries(SMALL));
    await send(round, route, kind, urlOf(route, round.random), make(subjectOf(route, round)), false);
  };
  const withBody = routes.filter(({ body }) => body !== null);

  for (const round of trial.rounds(trial.isShort ? 6 : 40)) {
    for (const route of routes) {
      if (trial.isOver()) break;
      await Promise.all(Array.from({ length: trial.isShort ? 1 : BURST }, () => sendSmall(round, route)));
    }
    for (const [kind, make] of Object.entries(SMALL)) {
      const route = round.random.pick(withBody);
      await measure(round, route, kind, make(subjectOf(route, round)));
    }
    const live = await call(server.url, 'GET', '/livez');
    if (live.status !== 200 || live.ms > LIVE_MS) trial.wrong(round, `/livez gave ${live.status} after ${live.ms} ms`);
  }
  const round = { seed: trial.seed, random: trial.random(trial.seed) };
  const largeRoutes = trial.isShort ? withBody.filter(({ name }) => ['recommend', 'sendEvents', 'putItems'].includes(name)) : withBody;
  for (const bytes of LARGE_BYTES[trial.isShort ? 'short' : 'full'])
    for (const [kind, make] of Object.entries(LARGE))
      for (const route of largeRoutes) {
        if (trial.isOver()) break;
        await measure(round, route, `${kind} ${Math.round(bytes / MIB)} MiB`, make(subjectOf(route, round), bytes));
      }
  await stillWhole(trial, server);
  for (const [key, { statuses, loop, memory, sent }] of worst) {
    const [kind = '', route = ''] = key.split('\t');
    trial.row({ body: kind, route, sent, status: [...statuses].sort().join(' '), 'loop ms': loop, 'memory MiB': memory });
  }
}

/** Resident memory now; the figures of the probe begin anew. */
async function memoryOf(server: RunningServer): Promise<number> {
  await server.probe();
  server.peakMemory();
  return server.peakMemory();
}

const start = (trial: Trial): Promise<RunningServer> => startReady(trial.folder, { REELFUSE_DATA_DIR: `${trial.folder}/data` });

/** What is wrong with an answer; null: nothing. */
export function faultOf({ status, headers, text, ms }: Reply, { statuses }: Pick<Route, 'statuses'>): string | null {
  if (status === 0) return `no answer: ${text} after ${ms} ms`;
  if (status >= 500 && status !== 503) return `${status} ${text.slice(0, 200)}`;
  if (status < 400 || isRowResults(text)) return null;
  const type = String(headers['content-type']);
  if (!type.startsWith('application/problem+json')) return `${status} is ${type}: ${text.slice(0, 100)}`;
  let problem: { status?: unknown; code?: unknown; detail?: unknown; errors?: { pointer?: unknown; detail?: unknown }[] };
  try {
    problem = JSON.parse(text) as typeof problem;
  } catch {
    return `${status} is no JSON: ${text.slice(0, 100)}`;
  }
  if (problem.status !== status || typeof problem.code !== 'string' || typeof problem.detail !== 'string')
    return `${status} lacks status, code or detail: ${text.slice(0, 200)}`;
  if (problem.code === 'invalid_request' && (problem.errors ?? []).length === 0) return `names no field: ${text.slice(0, 200)}`;
  for (const error of problem.errors ?? [])
    if (typeof error.pointer !== 'string' || typeof error.detail !== 'string' || !/^(\/|$)/.test(error.pointer))
      return `has a malformed pointer: ${JSON.stringify(error)}`;
  if (text.length > 256 * 1024) return `answers ${text.length} bytes of errors`;
  return statuses.includes('4XX') || statuses.includes('default') || statuses.includes(String(status)) || status < 500
    ? null
    : `${status} is not described`;
}

/** Calls of many rows are answered row by row, also when every row is refused. */
const isRowResults = (text: string): boolean => /^\{"(accepted|results)":/.test(text);

/** Afterwards the server still does its work. */
async function stillWhole(trial: Trial, server: RunningServer): Promise<void> {
  const reply = await call(server.url, 'POST', '/v1/recommendations', { history: ['clip-0009'], k: 5 });
  if (reply.status !== 200) trial.wrong(trial, `afterwards a recommendation was answered ${reply.status} ${reply.text.slice(0, 200)}`);
  const polluted = ({} as { polluted?: unknown }).polluted;
  if (polluted !== undefined || reply.text.includes('polluted')) trial.wrong(trial, 'a prototype was polluted');
}
