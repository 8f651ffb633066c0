import { workerData } from 'node:worker_threads';
import { serveRequests } from '../../threads/worker-loop.js';
import type { RowPlace } from '../storage-health.js';
import { openDatabase } from './database.js';
import { prepareRowChecks } from './row-checks.js';

const { file } = workerData as { file: string };
const database = openDatabase(file, { readonly: true });
const checks = prepareRowChecks(database);

serveRequests<{ id: number } & ({ type: 'next'; position: string | null } | { type: 'isSound'; row: RowPlace })>(
  (request) => ({ answer: request.type === 'next' ? checks.next(request.position) : checks.isSound(request.row) }),
  async () => void database.close(),
);
