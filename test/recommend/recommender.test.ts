import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { createMetrics, type Metrics } from '../../src/metrics.js';
import { createRecommender, type ServingGeneration } from '../../src/recommend/recommender.js';
import { falling, idsOf, memoryContext } from './memory-context.js';

interface Leased extends ServingGeneration {
  /** Leases begun and ended. */
  leases: { begun: number; ended: number };
}

/** With items of its own, named after its version. */
async function generationOf(version: string): Promise<Leased> {
  const { retrieval, catalogue } = await memoryContext(falling(3, 0.1).map((item) => ({ ...item, id: `${version}-${item.id}` })));
  const leases = { begun: 0, ended: 0 };
  return {
    model: { fingerprint: version, version, layer_weights: [] },
    retrieval,
    catalogue,
    layerShares: async () => null,
    leases,
    lease: async (task) => {
      leases.begun++;
      try {
        return await task();
      } finally {
        leases.ended++;
      }
    },
  };
}

async function valuesOf({ registry }: Metrics, name: string): Promise<Record<string, number>> {
  const { values } = (await registry.getSingleMetric(name)?.get()) ?? { values: [] };
  return Object.fromEntries(values.map(({ labels, value }) => [Object.values(labels).join(), value]));
}

async function open(t: TestContext) {
  const metrics = createMetrics();
  t.after(() => metrics.registry.clear());
  const { context, requestOf } = await memoryContext([]);
  const [first, second] = [await generationOf('first'), await generationOf('second')];
  let serving = first;
  const swap = (): void => void (serving = second);
  return { recommend: createRecommender(() => serving, context, metrics), requestOf, metrics, first, second, swap };
}

test('an answer is of the generation that served when the request came, and leases it until it is made', async (t) => {
  const { recommend, requestOf, first, second, swap } = await open(t);
  const answering = recommend(requestOf({}));
  assert.deepEqual(first.leases, { begun: 1, ended: 0 }, 'in the turn of the request');
  swap();
  const [before, after] = [await answering, await recommend(requestOf({}))];
  assert.deepEqual([before.model.version, idsOf(before.items)], ['first', ['first-v0', 'first-v1', 'first-v2']]);
  assert.deepEqual([after.model.version, idsOf(after.items)], ['second', ['second-v0', 'second-v1', 'second-v2']]);
  assert.deepEqual(
    [first.leases, second.leases],
    [
      { begun: 1, ended: 1 },
      { begun: 1, ended: 1 },
    ],
  );
});

test('fallbacks and explored items are counted, and what is refused is not', async (t) => {
  const { recommend, requestOf, metrics, first } = await open(t);
  await recommend(requestOf({}));
  await recommend(requestOf({ history: [] }));
  await recommend(requestOf({ history: [] }));
  await recommend(requestOf({ history: ['unknown'] }));
  await recommend(requestOf({ k: 2, minScore: 1000, exploration: { slots: 2, seed: 1 } }));
  await assert.rejects(recommend(requestOf({ similarTo: 'unknown' })), { code: 'item_not_found' });
  const fallbacks = await valuesOf(metrics, 'reelfuse_fallback_total');
  assert.deepEqual(fallbacks, { no_history: 2, unknown_history: 1, starting: 0, deadline: 0 });
  assert.deepEqual(await valuesOf(metrics, 'reelfuse_explored_items_total'), { '': 2 });
  assert.match(await metrics.registry.metrics(), /reelfuse_stage_duration_seconds_count\{stage="total"\} 5\n/);
  assert.deepEqual(first.leases, { begun: 6, ended: 6 });
});
