import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { createMetrics } from '../../src/metrics.js';
import { openSqliteStores, type SqliteSetup } from '../../src/store/sqlite/sqlite-stores.js';
import type { Stores } from '../../src/store/stores.js';
import { temporaryFolder } from '../temporary-folder.js';

/** SQLite on a temporary folder. */
export function sqliteOf(t: TestContext, options: Partial<SqliteSetup> = {}): { dataDir: string; open: () => Stores } {
  const dataDir = temporaryFolder(t);
  return { dataDir, open: () => openSqliteStores({ dataDir, metrics: createMetrics(), onCrash: (error) => assert.fail(error), ...options }) };
}
