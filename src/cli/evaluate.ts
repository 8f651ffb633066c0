import { createReadStream } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { SingleBar } from 'cli-progress';
import { Pool } from 'undici';
import { fileLines } from '../byte-lines.js';
import { ID_RULE, isId } from '../ids.js';
import { InputError, ServerError, messageOf } from '../errors.js';
import { firstBadByte, utf8Text } from '../utf8.js';
import { createRankingMetrics, rankOf, type RankingSummary } from './ranking-metrics.js';
import type { AddCommand } from './command.js';
import { originOf, readKey } from './remote-server.js';
import { examples, openOutput } from './terminal.js';

/** The deepest reported rank. One more item is requested, to see ties at the end. */
const DEPTH = 20;
const MIN_INTERACTIONS = 5;
/** Maximum history of a request; the newest items are sent. */
const MAX_HISTORY = 1000;
/** Reasons of a fallback that lie in the server and not in the history. */
const SERVER_REASONS: readonly (string | null)[] = ['starting', 'deadline'];
const POLL_MS = 500;

interface Options {
  interactions: string;
  url: string;
  users?: string;
  concurrency: string;
  /** True: JSON on standard output instead of the table. Text: a file for the JSON. */
  json?: string | true;
  quiet?: boolean;
  apiKeyFile?: string;
}

interface User {
  id: string;
  history: string[];
  target: string;
}

interface Found {
  ids: string[];
  /** The last score of `ids`. */
  least: number;
  rank: number | null;
  /** The model knows no item of the history. */
  isUnknown: boolean;
  ms: number;
}

interface Pass {
  results: Found[];
  seconds: number;
}

export interface Evaluation {
  users: number;
  /** Users whose target stands in their history too: it can never be found. */
  repeated_targets: number;
  /** Users of whose history the model knows no item, answered by the fallback ranking. */
  unknown_histories: number;
  model: { fingerprint: string; version: string };
  hnsw: RankingSummary;
  exact: RankingSummary;
  /** Share of HNSW's items whose exact score reaches that of the exact top 20, mean over users. */
  recall_at_20: number;
  throughput: { concurrency: number; hnsw_per_second: number; exact_per_second: number };
  latency_ms: { hnsw: Percentiles; exact: Percentiles };
}

export const addEvaluate: AddCommand = (program) => {
  program
    .command('evaluate')
    .description('replay leave-one-out users against a running server: each user’s last item is the target, the rest is the history')
    .requiredOption('--interactions <file>', 'file of lines user<TAB>item item …, oldest item first')
    .option('--url <url>', 'URL of the server', 'http://127.0.0.1:8080')
    .option('--users <n>', 'number of users, the first of the file; default: all')
    .option('--concurrency <n>', 'number of requests in flight', '8')
    .option('--api-key-file <file>', 'file with an API key that has the scope recommend')
    .option('--json [file]', 'print the figures as one JSON line; with a file, print the table and write the figures there')
    .option('--quiet', 'print no progress and no table')
    .addHelpText(
      'after',
      examples(
        ['reelfuse evaluate --interactions pairs.tsv', 'HR and NDCG of HNSW and of exact search, requests/s'],
        ['reelfuse evaluate --interactions pairs.tsv --users 1000 --quiet --json figures.json', '1,000 users, for a script'],
      ),
    )
    .action(async (options: Options) => {
      const file = typeof options.json === 'string' ? openOutput('--json', options.json) : null; // fail before the work, not after it
      let evaluation: Evaluation;
      try {
        evaluation = await evaluate(options);
      } catch (error) {
        file?.discard();
        throw error;
      }
      if (options.json === true) process.stdout.write(`${JSON.stringify(evaluation)}\n`);
      else if (options.quiet !== true) process.stdout.write(table(evaluation));
      file?.write(`${JSON.stringify(evaluation, null, 2)}\n`);
    });
};

const positive = (name: string, text: string): number => {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InputError(`--${name} must be a positive whole number, got ${JSON.stringify(text)}`);
  return Number(text);
};

async function evaluate(options: Options): Promise<Evaluation> {
  const concurrency = positive('concurrency', options.concurrency);
  const users = await readUsers(options.interactions, options.users === undefined ? Infinity : positive('users', options.users));
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (options.apiKeyFile !== undefined) headers.authorization = `Bearer ${readKey(options.apiKeyFile)}`;
  const pool = new Pool(originOf(options.url), { connections: concurrency });
  const isQuiet = options.quiet === true;
  try {
    await ready(pool, options.url, isQuiet);
    const model = await activeModel(pool, headers, options.url);
    const hnsw = await replay(pool, headers, users, false, concurrency, isQuiet);
    const exact = await replay(pool, headers, users, true, concurrency, isQuiet);
    return {
      users: users.length,
      repeated_targets: users.filter(({ history, target }) => history.includes(target)).length,
      unknown_histories: exact.results.filter(({ isUnknown }) => isUnknown).length,
      model,
      hnsw: summarise(hnsw),
      exact: summarise(exact),
      recall_at_20: await recall(pool, headers, users, hnsw, exact),
      throughput: { concurrency, hnsw_per_second: users.length / hnsw.seconds, exact_per_second: users.length / exact.seconds },
      latency_ms: { hnsw: percentiles(hnsw), exact: percentiles(exact) },
    };
  } finally {
    await pool.close();
  }
}

async function readUsers(file: string, limit: number): Promise<User[]> {
  const users: User[] = [];
  try {
    for await (const { row, bytes } of fileLines(file, createReadStream(file))) {
      const text = utf8Text(bytes);
      if (text === null) throw new InputError(`${file}:${row + 1}: is not UTF-8 (byte ${firstBadByte(bytes)} of the line)`);
      const [id = '', list, ...rest] = text.split('\t');
      if (id === '' || list === undefined || rest.length > 0) throw new InputError(`${file}:${row + 1}: must be user<TAB>item item …`);
      const items = list.split(' ').filter((item) => item !== '');
      const bad = [id, ...items].find((name) => !isId(name));
      if (bad !== undefined) throw new InputError(`${file}:${row + 1}: ${JSON.stringify(bad)} is not an id: ${ID_RULE}`);
      const target = items.pop();
      if (target === undefined || items.length + 1 < MIN_INTERACTIONS) continue;
      users.push({ id, history: items.slice(-MAX_HISTORY), target });
      if (users.length === limit) break;
    }
  } catch (error) {
    throw error instanceof InputError ? error : new InputError(`${file}: ${messageOf(error)}`, { cause: error });
  }
  if (users.length === 0) throw new InputError(`${file}: no user has ${MIN_INTERACTIONS} interactions or more`);
  return users;
}

interface Answer {
  fallback: string | null;
  items: { item_id: string; score: number }[];
}

/** Waits while the server loads its catalogue, in which it answers by its fallback ranking. @throws ServerError */
async function ready(pool: Pool, url: string, isQuiet: boolean): Promise<void> {
  for (let polls = 0; ; polls++) {
    let status: number;
    try {
      const { statusCode, body } = await pool.request({ path: '/readyz', method: 'GET' });
      await body.dump();
      status = statusCode;
    } catch (error) {
      throw new ServerError(`${url} does not answer as a reelfuse server: ${reasonOf(error)}`, { cause: error });
    }
    if (status !== 503) return; // whoever is no reelfuse server is told below
    if (polls === 0 && !isQuiet) process.stderr.write('waiting for the server to load its catalogue\n');
    await pause(POLL_MS);
  }
}

async function activeModel(pool: Pool, headers: Record<string, string>, url: string): Promise<{ fingerprint: string; version: string }> {
  try {
    const { statusCode, body } = await pool.request({ path: '/v1/models', method: 'GET', headers });
    const text = await body.text();
    if (statusCode === 401 || statusCode === 403) throw new ServerError(`${url} wants a key with the scope recommend: see --api-key-file`);
    if (statusCode !== 200) throw new Error(`${statusCode} ${text}`);
    const { models } = JSON.parse(text) as { models: { active: boolean; fingerprint: string; version: string }[] };
    const active = models.find((model) => model.active);
    if (active === undefined) throw new Error('no active model');
    return { fingerprint: active.fingerprint, version: active.version };
  } catch (error) {
    if (error instanceof ServerError) throw error;
    throw new ServerError(`${url} does not answer as a reelfuse server: ${reasonOf(error)}`, { cause: error });
  }
}

/** The reason of an error. When all addresses of a name refuse a connection, the message is empty and the code holds the reason. */
const reasonOf = (error: unknown): string => messageOf(error) || ((error as { code?: string }).code ?? 'no reason given');

/** @returns the answer's text */
async function ask(pool: Pool, headers: Record<string, string>, { id, history }: User, options: object): Promise<string> {
  const { statusCode, body } = await pool.request({
    path: '/v1/recommendations',
    method: 'POST',
    headers,
    body: JSON.stringify({ history, ...options }),
  });
  const text = await body.text();
  if (statusCode !== 200) throw new ServerError(`user ${id}: the server answered ${statusCode}: ${text}`);
  return text;
}

/** Sends requests in a closed loop with `concurrency` in flight. */
async function replay(
  pool: Pool,
  headers: Record<string, string>,
  users: User[],
  exact: boolean,
  concurrency: number,
  isQuiet: boolean,
): Promise<Pass> {
  const results: Found[] = new Array<Found>(users.length);
  const bar = new SingleBar({ format: `${exact ? 'exact' : 'HNSW '} {bar} {value}/{total} users`, hideCursor: true });
  if (!isQuiet) bar.start(users.length, 0);
  let next = 0;
  const started = performance.now();
  const lane = async (): Promise<void> => {
    for (;;) {
      const index = next++;
      const user = users[index];
      if (user === undefined) return;
      const sent = performance.now();
      const text = await ask(pool, headers, user, { k: DEPTH + 1, exact });
      const ms = performance.now() - sent;
      const { items, fallback } = JSON.parse(text) as Answer;
      if (SERVER_REASONS.includes(fallback))
        throw new ServerError(`user ${user.id}: the server answered by its fallback ranking (${fallback}), which says nothing about the model`);
      results[index] = {
        ids: items.slice(0, DEPTH).map(({ item_id: id }) => id),
        least: items.slice(0, DEPTH).at(-1)?.score ?? 0,
        rank: rankOf(items, user.target),
        isUnknown: fallback !== null,
        ms,
      };
      bar.increment();
    }
  };
  try {
    await Promise.all(Array.from({ length: concurrency }, lane));
  } finally {
    bar.stop();
  }
  return { results, seconds: (performance.now() - started) / 1000 };
}

function summarise({ results }: Pass): RankingSummary {
  const metrics = createRankingMetrics();
  for (const { rank } of results) metrics.add(rank);
  return metrics.summary();
}

/** Where other items were found than the exact ones, their exact scores are asked for: of equal vectors, any may be found. */
async function recall(pool: Pool, headers: Record<string, string>, users: readonly User[], hnsw: Pass, exact: Pass): Promise<number> {
  let sum = 0;
  for (const [index, { ids, least }] of exact.results.entries()) {
    const truth = new Set(ids);
    const found = hnsw.results[index]?.ids ?? [];
    const others = found.filter((id) => !truth.has(id));
    const user = users[index];
    let hits = found.length - others.length;
    if (others.length > 0 && user !== undefined) {
      const filter = { field: 'item_id', in: others };
      const { items } = JSON.parse(await ask(pool, headers, user, { k: others.length, exact: true, filter })) as Answer;
      hits += items.filter(({ score }) => score >= least).length;
    }
    sum += ids.length === 0 ? 1 : Math.min(1, hits / ids.length);
  }
  return sum / exact.results.length;
}

interface Percentiles {
  p50: number;
  p95: number;
  p99: number;
  max: number;
}

function percentiles({ results }: Pass): Percentiles {
  const sorted = results.map(({ ms }) => ms).sort((a, b) => a - b);
  const at = (portion: number): number => sorted[Math.min(sorted.length - 1, Math.floor(portion * sorted.length))] ?? 0;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: sorted.at(-1) ?? 0 };
}

function table({
  users,
  repeated_targets: repeated,
  unknown_histories: unknown,
  model,
  hnsw,
  exact,
  recall_at_20: recallAt20,
  throughput,
  latency_ms: latency,
}: Evaluation): string {
  const row = (name: string, ranking: RankingSummary, perSecond: number, { p50, p95, p99 }: Percentiles): string =>
    [
      name.padEnd(6),
      ...[ranking['hr@10'], ranking['ndcg@10'], ranking['hr@20'], ranking['ndcg@20']].map((value) => value.toFixed(4).padStart(8)),
      perSecond.toFixed(0).padStart(10),
      ...[p50, p95, p99].map((ms) => ms.toFixed(2).padStart(8)),
    ].join('');
  return [
    `${users} users, ${throughput.concurrency} at once, model ${model.version} (${model.fingerprint.slice(0, 12)})`,
    '         HR@10 NDCG@10   HR@20 NDCG@20     req/s  p50 ms  p95 ms  p99 ms',
    row('HNSW', hnsw, throughput.hnsw_per_second, latency.hnsw),
    row('exact', exact, throughput.exact_per_second, latency.exact),
    `recall@20 of HNSW against exact: ${recallAt20.toFixed(4)}`,
    ...(repeated === 0 ? [] : [`targets that stand in the history too, and can never be found: ${repeated}`]),
    ...(unknown === 0 ? [] : [`histories without an item that the model knows, answered by the fallback ranking: ${unknown}`]),
    '',
  ].join('\n');
}
