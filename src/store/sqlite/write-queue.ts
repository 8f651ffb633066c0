import { overloaded, ReelfuseError } from '../../errors.js';
import type { Metrics } from '../../metrics.js';
import type { WorkerClient } from '../../threads/worker-client.js';
import type { StorageHealth } from '../storage-health.js';
import type { DoneWrite, WriteOperation, WriteOutcome } from './write-operations.js';

/** Maximum writes, and rows of them, of one commit: bounds the time that the first one waits for the last. */
const MAX_GROUP = 1024;
const MAX_GROUP_ROWS = 20_000;

const rowsOf = (operation: WriteOperation): number => (operation.type === 'appendEvents' ? operation.events.length : 1);

interface Waiting {
  operation: WriteOperation;
  resolve: (value: never) => void;
  reject: (error: Error) => void;
}

/**
 * Group commit without a timer: writes that arrive during a commit go into the next one.
 */
export interface WriteQueue {
  /** Resolves when the operation is durable. @throws ReelfuseError of the storage, see storage-faults.ts, or what the operation was refused with */
  write<Value>(operation: WriteOperation): Promise<Value>;
  /** As `write`, but refuses when too many rows of bounded writes wait. @throws as `write`, and ReelfuseError 503 `overloaded` */
  writeBounded<Value>(operation: WriteOperation): Promise<Value>;
  /** Resolves when no write is under way. */
  idle(): Promise<void>;
}

/** @param onCommit called with each durable group, before any of its writes resolves */
export function createWriteQueue(
  worker: WorkerClient,
  metrics: Metrics,
  health: Pick<StorageHealth, 'told'>,
  maxBoundedRows: number,
  onCommit: (done: readonly DoneWrite[]) => void,
): WriteQueue {
  const queue: Waiting[] = [];
  let running: Promise<void> | null = null;
  let boundedRows = 0;

  const commit = async (group: Waiting[]): Promise<void> => {
    const stop = metrics.commitSeconds.startTimer();
    let outcomes: WriteOutcome[];
    try {
      outcomes = await worker.call<WriteOutcome[]>({ type: 'write', operations: group.map(({ operation }) => operation) });
    } catch (error) {
      const told = health.told(error);
      for (const { reject } of group) reject(told);
      return;
    } finally {
      stop();
    }
    metrics.commitSize.observe(group.length);
    onCommit(group.flatMap(({ operation }, n) => doneOf(operation, outcomes[n])));
    group.forEach(({ resolve, reject }, n) => {
      const outcome = outcomes[n];
      if (outcome !== undefined && 'value' in outcome)
        resolve(outcome.value as never); // each operation has one kind of value
      else reject(health.told(errorOf(outcome)));
    });
  };
  const drain = async (): Promise<void> => {
    while (queue.length > 0) await commit(queue.splice(0, sizeOfGroup(queue)));
    running = null;
  };
  const write = <Value>(operation: WriteOperation): Promise<Value> =>
    new Promise((resolve, reject) => {
      queue.push({ operation, resolve: resolve as (value: never) => void, reject });
      running ??= Promise.resolve().then(drain);
    });

  return {
    write,
    writeBounded: async <Value>(operation: WriteOperation): Promise<Value> => {
      const rows = rowsOf(operation);
      if (boundedRows > 0 && boundedRows + rows > maxBoundedRows) {
        metrics.rejected.inc({ reason: 'event_queue_full' });
        throw overloaded('event');
      }
      boundedRows += rows;
      try {
        return await write<Value>(operation);
      } finally {
        boundedRows -= rows;
      }
    },
    idle: async () => {
      while (running !== null) await running;
    },
  };
}

function errorOf(outcome: Exclude<WriteOutcome, { value: unknown }> | undefined): Error {
  if (outcome !== undefined && 'refusal' in outcome) {
    const { status, code, detail, errors } = outcome.refusal;
    return new ReelfuseError(status, code, detail, { errors });
  }
  return Object.assign(new Error(`the store refused a write: ${outcome?.error ?? 'no outcome'}`), { code: outcome?.code });
}

const doneOf = (operation: WriteOperation, outcome: WriteOutcome | undefined): DoneWrite[] =>
  outcome !== undefined && 'value' in outcome ? [{ operation, value: outcome.value }] : [];

/** Number of writes of the next group; at least one. */
function sizeOfGroup(queue: readonly Waiting[]): number {
  let rows = 0;
  let size = 0;
  for (const { operation } of queue) {
    rows += rowsOf(operation);
    if (size === MAX_GROUP || (size > 0 && rows > MAX_GROUP_ROWS)) break;
    size++;
  }
  return size;
}
