import { workerData } from 'node:worker_threads';
import { serveRequests } from '../../threads/worker-loop.js';
import { emptyLog, openDatabase } from './database.js';
import { createWriter, type WriteOperation } from './writer.js';

const { file } = workerData as { file: string };
const database = openDatabase(file);
const write = createWriter(database);

serveRequests<{ id: number } & ({ type: 'write'; operations: WriteOperation[] } | { type: 'emptyLog' } | { type: 'close' })>((request) => {
  if (request.type === 'write') return { answer: write(request.operations) };
  if (request.type === 'emptyLog') return { answer: emptyLog(database) };
  database.close(); // folds the WAL into the database
  return { answer: null };
});
