import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createIngest } from '../../src/ingest/items.js';
import { fieldsOf } from '../../src/ingest/item-input.js';
import type { Generation } from '../../src/generations/generation.js';
import { build, clip, putClips } from '../build.js';

test('every generation knows an item by the age that the store knows, also one that has not loaded it yet', async (t) => {
  const serving = await build(t);
  const { app, services } = serving;
  const loading = (await build(t)).services.generations.current; // of another server: it knows none of these items
  await putClips(app, 3);
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 3_600_000 });
  const targets = [services.generation, loading].map((generation) => ({ generation, taken: null, failure: null }));
  const ingest = createIngest({ ...services, generations: { current: services.generation, targets }, maxQueue: 10 });

  await ingest.put(fieldsOf(clip(1), { title: 'again' }), null);
  await ingest.patch(clip(2), { fields: (stored) => ({ ...stored, title: 'patched' }) });
  await ingest.put(fieldsOf(clip(3), { title: 'durable first' }), null, { wait: 'stored' });
  await ingest.put(fieldsOf('new', {}), null);
  await ingest.settle();
  const agesIn = ({ catalogue }: Generation) => [clip(1), clip(2), clip(3), 'new'].map((id) => catalogue.get(id)?.created);
  const stored = [clip(1), clip(2), clip(3), 'new'].map((id) => await services.stores.items.get(id)?.created_at);
  assert.deepEqual(agesIn(services.generations.current), stored);
  assert.deepEqual(agesIn(loading), stored);
});
