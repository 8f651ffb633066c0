import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clip, demoStates } from '../test/build.js';
import { percentiles, startServer } from './server.js';

/** Time from sending a PUT to being returned by `similar`, while --rate requests a second are served: --items 200. */
export async function freshness(options: ReadonlyMap<string, number>): Promise<unknown> {
  const rate = options.get('rate') ?? 500;
  const count = options.get('items') ?? 200;
  const folder = mkdtempSync(join(tmpdir(), 'reelfuse-freshness-'));
  const server = await startServer(join(folder, 'data'));
  try {
    const served: number[] = [];
    let failed = 0;
    let running = true;
    const request = async (): Promise<void> => {
      const sent = performance.now();
      const { status } = await server.call('GET', '/v1/users/cooking-fan/recommendations?k=20').catch(() => ({ status: 0 }));
      if (status === 200) served.push(performance.now() - sent);
      else failed++;
    };
    const began = performance.now();
    const background = (async () => {
      const open = new Set<Promise<void>>();
      for (let n = 0; running; n++) {
        while (performance.now() - began < (n * 1000) / rate) await new Promise((resolve) => setTimeout(resolve, 1));
        const one = request().finally(() => open.delete(one));
        open.add(one);
      }
      await Promise.all(open);
    })();
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
