import assert from 'node:assert/strict';
import { join } from 'node:path';
import { openServedLog } from '../../src/store/files/served-log.js';
import type { ServedLog } from '../../src/store/served-log.js';
import { temporaryFolder } from '../temporary-folder.js';
import { servedLogConformance } from './conformance/served-log.js';
import type { StoresEngine } from './conformance/stores.js';
import { SUITES } from './conformance/suites.js';
import type { Engine } from './conformance/suite.js';
import { createMemoryData } from './memory/data.js';
import { openMemoryServedLog } from './memory/served-log.js';
import { openMemoryStores } from './memory/stores.js';
import { sqliteOf } from './sqlite-engine.js';

const ENGINES: StoresEngine[] = [
  { name: 'SQLite', create: (t) => sqliteOf(t).open },
  {
    name: 'memory',
    create: () => {
      const data = createMemoryData();
      return () => openMemoryStores(data);
    },
  },
];

const LOGS: Engine<ServedLog>[] = [
  {
    name: 'files',
    create: (t) => {
      const folder = join(temporaryFolder(t), 'served');
      return () => openServedLog(folder, (error) => assert.fail(error as Error));
    },
  },
  {
    name: 'memory',
    create: () => {
      const entries = new Map();
      return () => openMemoryServedLog(entries);
    },
  },
];

for (const engine of ENGINES) for (const suite of Object.values(SUITES)) suite(engine);
for (const log of LOGS) servedLogConformance(log);
