import { ReelfuseError } from '../../errors.js';

export interface LaneSetup<Operation, Value> {
  /** Rows of one transaction, at most; an operation with more is a transaction of its own. */
  maxRows: number;
  rowsOf: (operation: Operation) => number;
  /** What must not come twice in one transaction; absent: everything goes together. */
  keyOf?: (operation: Operation) => string;
  /** Transactions at once. With more than one their order is not that of the calls. */
  parallel?: number;
  /** Writes in one transaction. Rejects when nothing was written. */
  commit: (operations: readonly Operation[]) => Promise<readonly Outcome<Value>[]>;
}

export type Outcome<Value> = { value: Value } | { refusal: Error };

/** Group commit: operations that come during a transaction go together into the next one. */
export interface Lane<Operation, Value> {
  /** Resolves when the operation is durable. */
  write(operation: Operation): Promise<Value>;
  /** Rows that wait or are being written. */
  readonly rows: number;
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
}

interface Waiting<Operation, Value> {
  operation: Operation;
  resolve: (value: Value) => void;
  reject: (error: unknown) => void;
}

export function createLane<Operation, Value>({ maxRows, rowsOf, keyOf, parallel = 1, commit }: LaneSetup<Operation, Value>): Lane<Operation, Value> {
  type Group = Waiting<Operation, Value>[];
  const queue: Group = [];
  const running = new Set<Promise<void>>();
  let draining = 0;
  let pending = 0;

  const nextGroup = (): Group => {
    const keys = new Set<string>();
    let rows = 0;
    let size = 0;
    for (const { operation } of queue) {
      const key = keyOf?.(operation);
      rows += rowsOf(operation);
      if (size > 0 && (rows > maxRows || (key !== undefined && keys.has(key)))) break;
      if (key !== undefined) keys.add(key);
      size++;
    }
    return queue.splice(0, size);
  };
  const settle = async (group: Group): Promise<void> => {
    try {
      const outcomes = await commit(group.map(({ operation }) => operation));
      group.forEach(({ resolve, reject }, n) => {
        const outcome = outcomes[n];
        if (outcome === undefined) reject(new Error('a transaction has no outcome of a write'));
        else if ('refusal' in outcome) reject(outcome.refusal);
        else resolve(outcome.value);
      });
    } catch (error) {
      // one operation that the database refuses must not take the others with it
      if (group.length > 1 && !(error instanceof ReelfuseError)) for (const one of group) await settle([one]);
      else for (const { reject } of group) reject(error);
    }
  };
  const drain = async (): Promise<void> => {
    await null; // operations of one turn go together
    while (queue.length > 0) await settle(nextGroup());
    draining--; // in the turn in which the queue was seen empty: a later operation starts anew
  };
  const start = (): void => {
    if (draining >= parallel) return;
    draining++;
    const task = drain();
    running.add(task);
    void task.finally(() => running.delete(task));
  };

  return {
    write: async (operation) => {
      const rows = rowsOf(operation);
      pending += rows;
      try {
        return await new Promise<Value>((resolve, reject) => {
          queue.push({ operation, resolve, reject });
          start();
        });
      } finally {
        pending -= rows;
      }
    },
    get rows() {
      return pending;
    },
    idle: async () => {
      while (running.size > 0) await Promise.all(running);
    },
  };
}
