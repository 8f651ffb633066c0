import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseModel } from '../../src/generations/model-choice.js';

test('a first start that is killed while it imports the demo is completed by the next start', async () => {
  const values = new Map<string, string>();
  const items: string[] = [];
  const stores = {
    keyValues: { get: async (key: string) => values.get(key) ?? null, set: async (key: string, value: string) => void values.set(key, value) },
    items: { list: async () => items },
  };
  const killed = await chooseModel('', stores);
  await killed.beginDemo();
  items.push('clip-0001');
  const next = await chooseModel('', stores);
  assert.equal(next.isFreshDemo, true);
  await next.remember();
  assert.equal((await chooseModel('', stores)).isFreshDemo, false);
});
