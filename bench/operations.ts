import { runOperations } from '../test/random-operations.js';

/** The long run of the seeded model-based test: --seeds 20 --operations 2000. */
export async function operations(options: ReadonlyMap<string, number>): Promise<unknown> {
  const seeds = options.get('seeds') ?? 10;
  const count = options.get('operations') ?? 1000;
  const total: Record<string, number> = {};
  for (let seed = 100; seed < 100 + seeds; seed++) {
    const cleanUps: (() => unknown)[] = [];
    try {
      const done = await runOperations({ after: (task) => void cleanUps.push(task as () => unknown) }, seed, count);
      for (const [name, times] of Object.entries(done)) total[name] = (total[name] ?? 0) + times;
    } finally {
      for (const task of cleanUps.reverse()) await task();
    }
  }
  return { seeds, operations_each: count, divergences: 0, by_kind: total };
}
