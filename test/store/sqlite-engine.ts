import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { createMetrics } from '../../src/metrics.js';
import { openSqliteStores, type SqliteSetup, type SqliteStores } from '../../src/store/sqlite/sqlite-stores.js';
import { unwatchedHealth } from '../storage.js';
import { temporaryFolder } from '../temporary-folder.js';

/** SQLite on a temporary folder. */
export function sqliteOf(t: TestContext, options: Partial<SqliteSetup> = {}): { dataDir: string; open: () => SqliteStores } {
  const dataDir = temporaryFolder(t);
  const setup = { dataDir, metrics: createMetrics(), health: unwatchedHealth(), onCrash: (error: Error) => assert.fail(error) };
  return { dataDir, open: () => openSqliteStores({ ...setup, ...options }) };
}
