import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageFile } from '../src/package-root.js';
import { atRate, recallOverHttp, residentMib } from './load.js';
import { percentiles, mixedStates, startServer } from './server.js';

const CHUNK = 500;

/** Another model under load: failed requests, mixed answers, latency before and during. --items 50000 --rate 200 --swaps 1 */
export async function swap(options: ReadonlyMap<string, number>): Promise<unknown> {
  const items = options.get('items') ?? 50_000;
  const rate = options.get('rate') ?? 200;
  const swaps = options.get('swaps') ?? 1;
  const folder = mkdtempSync(join(tmpdir(), 'reelfuse-swap-'));
  const server = await startServer(join(folder, 'data'));
  try {
    for (let first = 0; first < items; first += CHUNK) {
      const rows = Array.from({ length: Math.min(CHUNK, items - first) }, (_, n) =>
        JSON.stringify({ item_id: `item-${first + n}`, hidden_states: mixedStates() }),
      );
      const { status } = await server.call('POST', '/v1/items/batch', rows.join('\n'), 'application/x-ndjson');
      if (status !== 200) throw new Error(`batch answered ${status}`);
    }
    let failed = 0;
    let unknown = 0;
    const known = new Set<string>();
    const request = async (): Promise<void> => {
      const { status, body } = await server.call('GET', '/v1/users/cooking-fan/recommendations?k=20').catch(() => ({ status: 0, body: {} as never }));
      if (status !== 200 || body.fallback !== null) failed++;
      else if (!known.has((body.model as unknown as { fingerprint: string }).fingerprint)) unknown++;
    };
    const serveWhile = (goesOn: () => boolean) => atRate(rate, goesOn, request);
    const samples = Array.from({ length: 50 }, () => `item-${Math.floor(Math.random() * items)}`);
    const models = (await server.call('GET', '/v1/models')).body.models as unknown as { fingerprint: string }[];
    for (const { fingerprint } of models) known.add(fingerprint);
    const until = performance.now() + 5000;
    const before = await serveWhile(() => performance.now() < until);
    const recallBefore = await recallOverHttp(server, samples);
    const rounds: unknown[] = [];
    for (let round = 0; round < swaps; round++) {
      const artifact = join(folder, `model-${round}`);
      cpSync(packageFile('models', 'demo', 'artifact'), artifact, { recursive: true });
      const manifest = JSON.parse(readFileSync(join(artifact, 'model.json'), 'utf8')) as { version: string };
      manifest.version = `swap-${round}`;
      writeFileSync(join(artifact, 'model.json'), JSON.stringify(manifest));
      const { body } = await server.call('POST', '/v1/models', { folder: artifact });
      const fingerprint = String(body.fingerprint);
      known.add(fingerprint);
      const started = performance.now();
      await server.call('POST', `/v1/models/${fingerprint}/activate`);
      let state: { state: string; recall: number; error: string | null } = { state: 'verifying', recall: 0, error: null };
      const watching = (async () => {
        while (!['active', 'failed'].includes(state.state)) {
          state = (await server.call('GET', '/v1/models')).body.swap as unknown as typeof state;
          await new Promise((resolve) => setTimeout(resolve, 250));
        }
      })();
      const duringRecall = recallOverHttp(server, samples);
      const during = await serveWhile(() => !['active', 'failed'].includes(state.state));
      await watching;
      const recalls = { recall_before: recallBefore, recall_during: await duringRecall, recall_after: await recallOverHttp(server, samples) };
      rounds.push({
        seconds: Math.round((performance.now() - started) / 100) / 10,
        ...state,
        ...recalls,
        during_ms: percentiles(during),
        rss_mib: residentMib(server.pid),
      });
    }
    const back = performance.now();
    const { status } = await server.call('POST', `/v1/models/${models[0]?.fingerprint}/activate`);
    const rollback = swaps === 1 ? { status, ms: Math.round(performance.now() - back) } : null;
    return { items, rate, before_ms: percentiles(before), rounds, failed_requests: failed, answers_of_unknown_model: unknown, rollback };
  } finally {
    await server.end('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  }
}
