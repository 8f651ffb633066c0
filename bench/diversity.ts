import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import { readConfig } from '../src/config.js';
import { plainRequest } from '../src/recommend/request.js';
import { openServer } from '../src/composition/server.js';

const K = 10;
const SETTINGS = [0, 0.1, 0.2, 0.4, 0.7];

/**
 * What diversity costs and gives on real interactions: HR@10 leave-one-out, mean cosine within a list, share of the
 * catalogue that is shown. Wants REELFUSE_DATA_DIR with an imported catalogue and REELFUSE_MODEL_DIR.
 * @param text the option --interactions: lines user<TAB>item item …
 */
export async function diversity(options: ReadonlyMap<string, number>, text: ReadonlyMap<string, string>): Promise<unknown> {
  const file = text.get('interactions');
  if (file === undefined) throw new Error('--interactions FILE is required');
  const users = readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => line.trim().split('\t')[1]?.split(' ') ?? [])
    .filter((items) => items.length >= 5)
    .slice(0, options.get('users') ?? 5000);
  const services = await openServer(readConfig(), pino({ level: 'warn' }));
  try {
    await services.load();
    const { table } = services.generation;
    const { recommend } = services.routes.recommendations;
    const rows: unknown[] = [];
    for (const setting of SETTINGS) {
      let hits = 0;
      let likeness = 0;
      const shown = new Set<number>();
      for (let first = 0; first < users.length; first += 64) {
        const answers = await Promise.all(
          users.slice(first, first + 64).map((items) => recommend({ ...plainRequest(K), history: items.slice(0, -1), diversity: setting })),
        );
        answers.forEach(({ items }, n) => {
          const target = users[first + n]?.at(-1);
          if (items.some(({ item }) => item.fields.item_id === target)) hits++;
          const slots = items.map(({ item }) => table.slots.slotOf(item.index));
          for (const slot of slots) shown.add(slot);
          likeness += meanCosine(slots.map((slot) => table.slots.table.vector(slot)));
        });
      }
      rows.push({
        diversity: setting,
        'hr@10': Math.round((hits / users.length) * 10_000) / 10_000,
        intra_list_similarity: Math.round((likeness / users.length) * 10_000) / 10_000,
        catalogue_coverage: Math.round((shown.size / table.size) * 10_000) / 10_000,
      });
    }
    return { users: users.length, rows };
  } finally {
    await services.close();
  }
}

function meanCosine(vectors: readonly Float32Array[]): number {
  let sum = 0;
  let pairs = 0;
  vectors.forEach((a, i) => {
    for (const b of vectors.slice(i + 1)) {
      let [dot, aa, bb] = [0, 0, 0];
      a.forEach((value, at) => {
        const other = b[at] ?? 0;
        dot += value * other;
        aa += value * value;
        bb += other * other;
      });
      sum += dot / Math.sqrt(aa * bb);
      pairs++;
    }
  });
  return sum / Math.max(pairs, 1);
}
