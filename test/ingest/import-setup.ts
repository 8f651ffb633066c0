import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { createMetrics } from '../../src/metrics.js';
import { openSqliteStores } from '../../src/store/sqlite/sqlite-stores.js';
import { unwatchedHealth } from '../storage.js';

/** Stores in a folder of their own, and files beside them. Closed and removed when the test is over. */
export function setUp(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'reelfuse-test-'));
  const stores = openSqliteStores({
    dataDir: join(folder, 'data'),
    metrics: createMetrics(),
    health: unwatchedHealth(),
    onCrash: (error) => assert.fail(error),
  });
  t.after(async () => {
    await stores.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { stores, write: writerIn(folder) };
}

/** @returns a function that writes a file of the folder and returns its path */
export const writerIn =
  (folder: string) =>
  (name: string, content: string | Buffer): string => {
    const file = join(folder, name);
    writeFileSync(file, content);
    return file;
  };
