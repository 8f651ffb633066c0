import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeOtherModel } from '../test/other-model.js';
import { atRate, recallOverHttp, residentMib } from './load.js';
import { watchOthers } from './processes.js';
import { mixedStates, percentiles, startServer, type Server } from '../test/server-process.js';

const CHUNK = 500;
const HISTORIES = 20;
const HISTORY_LENGTH = 10;
const K = 20;
const WRITES_A_SECOND = 10;
const BEFORE_MS = 10_000;
/** Scores of one model differ by less, whichever way they were searched for; those of two models by more. */
const SAME_SCORE = 1e-3;
const MAX_SLOWDOWN = 3;

interface Served {
  history: number;
  fingerprint: string;
  scores: Map<string, number>;
}

/**
 * Another model under load, with writes going on: failed requests, answers that are not wholly of the model that they
 * name, latency before and during. Exits with 1 when there are any, or p99 is more than thrice what it was.
 * --items 50000 --rate 100 --swaps 1
 */
export async function swap(options: ReadonlyMap<string, number>): Promise<unknown> {
  const items = options.get('items') ?? 50_000;
  const rate = options.get('rate') ?? 100;
  const swaps = options.get('swaps') ?? 1;
  const folder = mkdtempSync(join(tmpdir(), 'reelfuse-swap-'));
  // in 8 bits a score depends a little on what it is computed together with
  const server = await startServer(join(folder, 'data'), { REELFUSE_USER_TOWER_PRECISION: 'float32' });
  try {
    await fill(server, items);
    const anyItem = (): string => `item-${Math.floor(Math.random() * items)}`;
    const histories = Array.from({ length: HISTORIES }, () => Array.from({ length: HISTORY_LENGTH }, anyItem));
    const states = Array.from({ length: 20 }, mixedStates);
    const samples = Array.from({ length: 50 }, anyItem);
    let served: Served[] = [];
    let failed = 0;
    let written = 0;
    const request = async (n: number): Promise<void> => {
      const history = n % HISTORIES;
      try {
        served.push(await ask(server, histories[history] ?? [], { k: K }, history));
      } catch {
        failed++;
      }
    };
    const write = async (): Promise<void> => {
      const id = `written-${written++}`;
      const { status } = await server.call('PUT', `/v1/items/${id}`, { hidden_states: states[written % states.length] });
      if (status !== 201) failed++;
    };
    const serveWhile = async (goesOn: () => boolean): Promise<Latency> => {
      const others = watchOthers();
      const [times] = await Promise.all([atRate(rate, goesOn, request), atRate(WRITES_A_SECOND, goesOn, write)]);
      return { ...percentiles(times), others_percent: Math.round(others()) };
    };
    const until = performance.now() + BEFORE_MS;
    const before = await serveWhile(() => performance.now() < until);
    const recallBefore = await recallOverHttp(server, samples);
    const rounds: Round[] = [];
    let mixed = 0;
    let checked = 0;
    let back = 0;
    for (let round = 0; round < swaps; round++) {
      const old = await activeModel(server);
      const fingerprint = await register(server, join(folder, `model-${round}`), round);
      served = [];
      const started = performance.now();
      await server.call('POST', `/v1/models/${fingerprint}/activate`);
      const swapping = watch(server);
      let isDone = false;
      const finished = swapping.then((state) => {
        isDone = true;
        return state;
      });
      const duringRecall = recallOverHttp(server, samples);
      const during = await serveWhile(() => !isDone);
      const state = await finished;
      const seconds = Math.round((performance.now() - started) / 100) / 10;
      const recalls = { recall_before: recallBefore, recall_during: await duringRecall, recall_after: await recallOverHttp(server, samples) };
      const rss = residentMib(server.pid);
      const onNew = await referenceOf(server, histories, served);
      const returned = performance.now();
      await activate(server, old);
      back = Math.max(back, Math.round(performance.now() - returned));
      const onOld = await referenceOf(server, histories, served);
      await activate(server, fingerprint);
      requireDifference(onOld, onNew);
      const references = new Map([
        [old, onOld],
        [fingerprint, onNew],
      ]);
      mixed += served.filter((answer) => !isWhole(answer, references.get(answer.fingerprint))).length;
      checked += served.length;
      rounds.push({ seconds, ...state, ...recalls, during_ms: during, p99_ratio: Math.round((during.p99 / before.p99) * 100) / 100, rss_mib: rss });
    }
    const failures = [
      ...(failed > 0 ? ['requests failed'] : []),
      ...(mixed > 0 ? ['answers were not wholly of the model that they name'] : []),
      ...rounds.flatMap(({ state, error }) => (state === 'active' ? [] : [`a swap ended as ${state}: ${error}`])),
      ...(rounds.some(({ p99_ratio: ratio }) => ratio > MAX_SLOWDOWN) ? [`p99 was more than ${MAX_SLOWDOWN} × that before`] : []),
    ];
    if (failures.length > 0) process.exitCode = 1;
    const requests = { requests_failed: failed, answers_checked: checked, answers_mixed: mixed, items_written: written };
    return { items, rate, writes_a_second: WRITES_A_SECOND, before_ms: before, rounds, ...requests, switched_back_within_ms: back, failures };
  } finally {
    await server.end('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Latency extends ReturnType<typeof percentiles> {
  /** Share of all cores that other programs took meanwhile: the figures are worth as much as it is small. */
  others_percent: number;
}

interface SwapState {
  state: string;
  recall: number | null;
  error: string | null;
}

interface Round extends SwapState {
  seconds: number;
  recall_before: number;
  recall_during: number;
  recall_after: number;
  during_ms: Latency;
  p99_ratio: number;
  rss_mib: number;
}

async function fill(server: Server, items: number): Promise<void> {
  for (let first = 0; first < items; first += CHUNK) {
    const rows = Array.from({ length: Math.min(CHUNK, items - first) }, (_, n) =>
      JSON.stringify({ item_id: `item-${first + n}`, hidden_states: mixedStates() }),
    );
    const { status } = await server.call('POST', '/v1/items/batch', rows.join('\n'), 'application/x-ndjson');
    if (status !== 200) throw new Error(`batch answered ${status}`);
  }
}

/** @throws Error when the answer is not a recommendation of a model */
async function ask(server: Server, history: readonly string[], wishes: object, number: number): Promise<Served> {
  const { status, body } = await server.call('POST', '/v1/recommendations', { history, ...wishes });
  if (status !== 200 || body.fallback !== null) throw new Error(`a recommendation answered ${status}`);
  const items = body.items as unknown as { item_id: string; score: number }[];
  const { fingerprint } = body.model as unknown as { fingerprint: string };
  return { history: number, fingerprint, scores: new Map(items.map(({ item_id: id, score }) => [id, score])) };
}

async function activeModel(server: Server): Promise<string> {
  const models = (await server.call('GET', '/v1/models')).body.models as unknown as { fingerprint: string; active: boolean }[];
  return models.find(({ active }) => active)?.fingerprint ?? '';
}

async function register(server: Server, artifact: string, round: number): Promise<string> {
  await writeOtherModel(artifact, { version: `swap-${round}`, strength: 1 + round / 10 });
  return String((await server.call('POST', '/v1/models', { folder: artifact })).body.fingerprint);
}

async function activate(server: Server, fingerprint: string): Promise<void> {
  const { status } = await server.call('POST', `/v1/models/${fingerprint}/activate`);
  if (status !== 200) throw new Error(`switching to a model on standby answered ${status}`);
}

/** Resolves when the swap has ended. */
async function watch(server: Server): Promise<SwapState> {
  for (;;) {
    const { state, recall, error } = (await server.call('GET', '/v1/models')).body.swap as unknown as SwapState;
    if (['active', 'failed'].includes(state)) return { state, recall, error };
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

/** What the serving model gives to every item that was served, by history. */
async function referenceOf(server: Server, histories: readonly string[][], served: readonly Served[]): Promise<Map<string, number>[]> {
  return Promise.all(
    histories.map(async (history, number) => {
      const ids = [...new Set(served.flatMap((answer) => (answer.history === number ? [...answer.scores.keys()] : [])))];
      if (ids.length === 0) return new Map<string, number>();
      return (await ask(server, history, { k: 500, exact: true, filter: { field: 'item_id', in: ids } }, number)).scores;
    }),
  );
}

function isWhole({ history, scores }: Served, reference: readonly Map<string, number>[] | undefined): boolean {
  const expected = reference?.[history];
  return [...scores].every(([id, score]) => Math.abs(score - (expected?.get(id) ?? Infinity)) < SAME_SCORE);
}

/** Otherwise a mixture could not be told. */
function requireDifference(a: readonly Map<string, number>[], b: readonly Map<string, number>[]): void {
  const pairs = a.flatMap((scores, history) => [...scores].map(([id, score]) => Math.abs(score - (b[history]?.get(id) ?? Infinity))));
  if (pairs.filter((difference) => difference > 10 * SAME_SCORE).length < pairs.length * 0.9)
    throw new Error('the two models give nearly the same scores');
}
