import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { chooseModel } from '../../src/generations/model-choice.js';
import { temporaryFolder } from '../temporary-folder.js';

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

test('a setting that is as it was applies again when the model that was active is gone', async (t) => {
  const folder = temporaryFolder(t);
  const values = new Map<string, string>();
  const stores = {
    keyValues: { get: async (key: string) => values.get(key) ?? null, set: async (key: string, value: string) => void values.set(key, value) },
    items: { list: async () => [1] },
  };
  await (await chooseModel(folder, stores)).remember();
  values.set('model_dir', join(folder, 'moved')); // activated later
  assert.equal((await chooseModel(folder, stores)).folder, folder);
  assert.equal((await chooseModel('', stores)).folder, join(folder, 'moved')); // its absence is told by who opens it
});
