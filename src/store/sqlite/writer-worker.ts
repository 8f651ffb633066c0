import { workerData } from 'node:worker_threads';
import { serveRequests } from '../../threads/worker-loop.js';
import { openDatabase, truncateWal } from './database.js';
import type { WriteOperation } from './write-operations.js';
import { createWriter } from './writer.js';

const { file } = workerData as { file: string };
const database = openDatabase(file);
const write = createWriter(database);

serveRequests<{ id: number } & ({ type: 'write'; operations: WriteOperation[] } | { type: 'truncateWal' } | { type: 'close' })>((request) => {
  if (request.type === 'write') return { answer: write(request.operations) };
  if (request.type === 'truncateWal') return { answer: truncateWal(database) };
  database.close(); // folds the WAL into the database
  return { answer: null };
});
