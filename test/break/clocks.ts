import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { call } from './call.js';
import { openFaults } from './faults.js';
import { openLedger } from './ledger.js';
import { startProgram, type RunningServer } from './program.js';
import type { Random, Round, Trial } from './trial.js';

const DAY = 86_400;
const YEAR = 365 * DAY;
const JUMPS = [-1, 1, -3600, 3600, -DAY, DAY, -30 * DAY, 30 * DAY, -YEAR, YEAR, -10 * YEAR, 10 * YEAR, 40 * YEAR, -56 * YEAR];
const WRITES = 12;

/** The wall clock jumps while the server serves, and between two starts. */
export async function clocks(trial: Trial): Promise<void> {
  const faults = openFaults(trial.folder, join(trial.folder, 'nothing'));
  const environment = { REELFUSE_DATA_DIR: join(trial.folder, 'data'), ...faults.environment };
  faults.plan({});
  const ledger = openLedger('clock', 1000 * YEAR);
  let ahead = 0;
  let server = await start(trial, environment);
  trial.after(async () => void (await server.end('SIGTERM')));
  for (const round of trial.rounds(trial.isShort ? 8 : 60)) {
    const jump = round.random.pick(JUMPS);
    const next = Math.abs(ahead + jump) > 50 * YEAR ? 0 : ahead + jump;
    const from = await sessionOf(server, round.random);
    const isRestart = round.random.chance(0.4);
    if (isRestart) {
      const { code, stderr } = await server.end(round.random.chance(0.5) ? 'SIGTERM' : 'SIGKILL');
      if (code !== 0 && code !== null) trial.wrong(round, `the server ended with ${code}: ${stderr.slice(-200)}`);
    }
    faults.plan({ clock_seconds: next });
    if (isRestart) server = await start(trial, environment);
    const label = `${isRestart ? 'restart' : 'serving'}, from ${(ahead / DAY).toFixed(1)} to ${(next / DAY).toFixed(1)} days`;
    ahead = next;
    trial.count(isRestart ? 'jumps across a restart' : 'jumps while serving');
    await jumped(server, next);
    for (const text of await checks(trial, round, server, from)) trial.wrong(round, `${label}: ${text}`);
    const refused: string[] = [];
    await ledger.write(server.url, round.random, WRITES, (what, reply) => {
      trial.count('requests');
      if (reply.status >= 400 && reply.status !== 404) refused.push(`${what}: ${reply.status} ${reply.text.slice(0, 150)}`);
    });
    for (const text of [...refused, ...(await ledger.compare(server.url))]) trial.wrong(round, `${label}: ${text}`);
    if (!server.isAlive()) throw new Error(`${label}: the server ended: ${server.output().slice(-500)}`);
  }
}

async function start(trial: Trial, environment: Record<string, string>): Promise<RunningServer> {
  const server = await startProgram(trial.folder, environment);
  if ('url' in server) return server;
  throw new Error(`the server ended with ${server.code ?? server.signal}: ${server.stderr.slice(-500)}`);
}

/** Waits until answers show the clock; Node keeps the text of their date for up to a second. @throws Error when they do not */
async function jumped(server: RunningServer, ahead: number): Promise<void> {
  for (let attempt = 0; attempt < 30; attempt++) {
    const { headers } = await call(server.url, 'GET', '/livez');
    if (Math.abs(Date.parse(String(headers.date)) / 1000 - Date.now() / 1000 - ahead) < 60) return;
    await sleep(100);
  }
  throw new Error(`the server does not see a clock that is ${ahead} s ahead`);
}

interface Session {
  cursor: string | null;
  answerId: string;
  seen: string[];
}

/** The first page of a feed, before the jump. */
async function sessionOf(server: RunningServer, random: Random): Promise<Session> {
  const reply = await call(server.url, 'POST', '/v1/recommendations', { history: [`clip-000${1 + random.below(9)}`], k: 10 });
  const body = JSON.parse(reply.text) as { next_cursor: string | null; recommendation_id: string; items: { item_id: string }[] };
  return { cursor: body.next_cursor, answerId: body.recommendation_id, seen: body.items.map(({ item_id: id }) => id) };
}

/** After the jump answers are sane: a page follows or its cursor has expired, new items appear, figures are finite and not negative. */
async function checks(trial: Trial, { random }: Round, server: RunningServer, { cursor, answerId, seen }: Session): Promise<string[]> {
  const wrong: string[] = [];
  const expect = async (
    what: string,
    method: string,
    path: string,
    body: object | null,
    statuses: readonly number[],
  ): Promise<Record<string, unknown>> => {
    trial.count('requests');
    const reply = await call(server.url, method, path, body, {}, 20_000);
    if (!statuses.includes(reply.status)) wrong.push(`${what} was answered ${reply.status} ${reply.text.slice(0, 200)}`);
    if (reply.ms > 5000) wrong.push(`${what} took ${reply.ms} ms`);
    return reply.text.startsWith('{') ? (JSON.parse(reply.text) as Record<string, unknown>) : { text: reply.text };
  };
  if (cursor !== null) {
    const page = await expect('the next page', 'POST', '/v1/recommendations', { cursor, k: 10 }, [200, 410, 422]);
    const items = (page.items as { item_id: string }[] | undefined) ?? [];
    const again = items.filter(({ item_id: id }) => seen.includes(id));
    if (again.length > 0) wrong.push(`the next page repeats ${again.length} items`);
  }
  await expect('the replay', 'GET', `/v1/recommendations/${answerId}`, null, [200, 404, 410]);
  const first = await expect('a recommendation', 'POST', '/v1/recommendations', { user_id: 'cooking-fan', k: 10 }, [200]);
  // items with a later `available_from` are not served yet, and the answer says that it is short
  const isShort = (body: Record<string, unknown>): boolean => (body.items as unknown[] | undefined)?.length !== 10 && body.short_reason === null;
  if (isShort(first)) wrong.push(`a recommendation holds ${(first.items as unknown[] | undefined)?.length} items and says no reason`);
  const fallback = await expect('a recommendation without history', 'POST', '/v1/recommendations', { user_id: 'nobody-yet', k: 10 }, [200]);
  const scores = ((fallback.items as { score: number }[] | undefined) ?? []).map(({ score }) => score);
  if (isShort(fallback) || scores.some((score) => score === null || !Number.isFinite(score)))
    wrong.push(`the fallback's scores are ${scores.slice(0, 3).join()}`);
  const id = `clock-new-${random.below(1000)}`;
  await expect('a new item', 'PUT', `/v1/items/${id}`, { title: 'x' }, [200, 201]);
  await expect('the report', 'GET', '/v1/reports/quality', null, [200]);
  await expect('a snapshot', 'POST', '/v1/snapshots', null, [200, 201, 409]);
  const { text } = await expect('the metrics', 'GET', '/metrics', null, [200]);
  for (const line of String(text).split('\n'))
    if (/^reelfuse_\w*(seconds|age|bytes)\w*(\{[^}]*\})? (-|NaN)/.test(line)) wrong.push(`metrics: ${line}`);
  return wrong;
}
