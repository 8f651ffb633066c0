import { pino } from 'pino';
import { createMetrics } from '../src/metrics.js';
import { createStorageHealth, type StorageHealth } from '../src/store/storage-health.js';

/** Health of a storage that nobody watches. */
export const unwatchedHealth = (): StorageHealth => createStorageHealth(createMetrics(), pino({ level: 'silent' }), Date.now);
