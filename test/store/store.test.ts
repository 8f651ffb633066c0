import assert from 'node:assert/strict';
import { join } from 'node:path';
import { openServedLog } from '../../src/store/files/served-log.js';
import type { ServedLog } from '../../src/store/served-log.js';
import type { Stores } from '../../src/store/stores.js';
import { temporaryFolder } from '../temporary-folder.js';
import { attributesConformance } from './conformance/attributes.js';
import { changesConformance } from './conformance/changes.js';
import { eventsConformance } from './conformance/events.js';
import { itemsConformance } from './conformance/items.js';
import { idempotencyConformance, keyValuesConformance, modelsConformance } from './conformance/records.js';
import { servedLogConformance } from './conformance/served-log.js';
import type { StoresEngine } from './conformance/stores.js';
import type { Engine } from './conformance/suite.js';
import { vectorsConformance } from './conformance/vectors.js';
import { createMemoryData } from './memory/data.js';
import { openMemoryServedLog } from './memory/served-log.js';
import { openMemoryStores } from './memory/stores.js';
import { sqliteOf } from './sqlite-engine.js';

/** A part that the stores get is missing here until it has a suite; that `close` waits is tested with the items. */
const SUITES: Record<Exclude<keyof Stores, 'close'>, (engine: StoresEngine) => void> = {
  items: itemsConformance,
  vectors: vectorsConformance,
  events: eventsConformance,
  attributes: attributesConformance,
  models: modelsConformance,
  changes: changesConformance,
  keyValues: keyValuesConformance,
  idempotency: idempotencyConformance,
};

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
