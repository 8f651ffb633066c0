import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clip, demoStates } from '../test/build.js';
import { fillStore } from './catalogue.js';
import { atRate } from './load.js';
import { percentiles, startServer } from '../test/server-process.js';

/** A cold server and a cold bench are compiling for most of the first second. */
const WARM_MS = 3000;

/** Time from sending a PUT to being returned by `similar`, while --rate requests a second are served: --items 500 --catalogue 0, more items beside the demo's. */
export async function freshness(options: ReadonlyMap<string, number>): Promise<unknown> {
  const rate = options.get('rate') ?? 500;
  const count = options.get('items') ?? 500;
  const folder = mkdtempSync(join(tmpdir(), 'reelfuse-freshness-'));
  const catalogue = options.get('catalogue') ?? 0;
  if (catalogue > 0) await fillStore(join(folder, 'data'), catalogue, 200);
  const user = catalogue > 0 ? 'user-7' : 'cooking-fan';
  const server = await startServer(join(folder, 'data'));
  try {
    const served: number[] = [];
    let failed = 0;
    let running = true;
    const request = async (): Promise<void> => {
      const sent = performance.now();
      const { status } = await server.call('GET', `/v1/users/${user}/recommendations?k=20`).catch(() => ({ status: 0 }));
      if (status === 200) served.push(performance.now() - sent);
      else failed++;
    };
    const warm = performance.now() + WARM_MS;
    await atRate(rate, () => performance.now() < warm, request);
    served.length = 0;
    const began = performance.now();
    const background = atRate(rate, () => running, request);
    const fresh: number[] = [];
    for (let n = 0; n < count; n++) {
      const states = demoStates(clip(n + 1));
      await server.call('PUT', `/v1/items/near-${n}`, { hidden_states: states });
      const sent = performance.now();
      const put = server.call('PUT', `/v1/items/fresh-${n}`, { hidden_states: states });
      for (;;) {
        const { body } = await server.call('POST', `/v1/items/near-${n}/similar`, { k: 3 });
        if ((body.items as unknown as { item_id: string }[]).some(({ item_id: id }) => id === `fresh-${n}`)) break;
        if (performance.now() - sent > 5000) throw new Error(`fresh-${n} was not returned within 5 s`);
      }
      fresh.push(performance.now() - sent);
      await put;
    }
    running = false;
    await background;
    const seconds = (performance.now() - began) / 1000;
    return { put_to_similar_ms: percentiles(fresh), served_a_second: Math.round(served.length / seconds), served_ms: percentiles(served), failed };
  } finally {
    await server.end('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  }
}
