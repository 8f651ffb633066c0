import type { Logger } from 'pino';
import { messageOf } from '../errors.js';
import type { Metrics } from '../metrics.js';
import { DamagedError, STORAGE_FAULTS, storageFaultOf, storageProblem, type StorageFault } from '../storage-faults.js';

/** A stored row by its table and key. */
export interface RowPlace {
  table: string;
  key: string;
}

/** What is wrong with the storage now. */
export interface StorageProblem {
  fault: StorageFault;
  detail: string;
  /** When it was first noticed, milliseconds since 1970. */
  since: number;
}

/** Damaged rows that are kept by name; further ones are counted. */
const MAX_ROWS = 10_000;

/** What the server knows about its storage: every fault that an operation has met, until it is known to be over. */
export interface StorageHealth {
  /** Takes the error of an operation. @returns what the caller is told: a ReelfuseError when the storage is the reason, else the error */
  told(error: unknown): Error;
  /** Takes a row that was found to be damaged, and tells the log when it is news. */
  noteDamaged(row: RowPlace, detail: string): void;
  /** The row was read again and is sound, or is gone. */
  noteSound(row: RowPlace): void;
  /** The storage cannot be used. */
  noteFailing(detail: string): void;
  /** The disk can be read and written again. */
  noteWorking(): void;
  /** The whole store was read, and no page of it is damaged. */
  noteWhole(): void;
  /** Whether a read or write has failed since the disk was last known to work. */
  readonly isFailing: boolean;
  /**
   * Whether SQLite has called the database damaged, and no check of the whole store has said otherwise since. It does so too when a read
   * has failed: SQLITE_IOERR_CORRUPTFS becomes SQLITE_CORRUPT.
   */
  readonly isSuspect: boolean;
  /** Rows that are known to be damaged. */
  readonly damagedRows: readonly RowPlace[];
  /** Empty: none. */
  readonly problems: readonly StorageProblem[];
}

const nameOf = ({ table, key }: RowPlace): string => `${table} ${key}`;

export function createStorageHealth(
  metrics: Pick<Metrics, 'storageFaults' | 'storageDegraded' | 'damagedRows'>,
  log: Logger,
  now: () => number,
): StorageHealth {
  const problems = new Map<StorageFault, StorageProblem>();
  const rows = new Map<string, RowPlace>();
  /** A damage of which no row is known. */
  let structure: string | null = null;

  const show = (): void => {
    for (const fault of STORAGE_FAULTS) metrics.storageDegraded.set({ fault }, problems.has(fault) ? 1 : 0);
    metrics.damagedRows.set(rows.size);
  };
  const begin = (fault: StorageFault, detail: string): void => {
    const known = problems.get(fault);
    problems.set(fault, { fault, detail, since: known?.since ?? now() });
    if (known === undefined) log.error({ fault, reason: detail }, 'the storage is degraded');
    show();
  };
  const end = (fault: StorageFault): void => {
    if (problems.delete(fault)) log.info({ fault }, 'the storage is sound again');
    show();
  };
  const showDamage = (): void => {
    const first = rows.values().next().value;
    if (structure !== null) begin('damaged', structure);
    else if (first === undefined) end('damaged');
    else begin('damaged', `${rows.size} damaged rows, the first: ${nameOf(first)}`);
  };
  show();

  return {
    told: (error) => {
      const fault = storageFaultOf(error);
      if (fault === null) return error instanceof Error ? error : new Error(messageOf(error));
      metrics.storageFaults.inc({ fault });
      if (fault !== 'damaged') begin(fault, messageOf(error));
      else if (!(error instanceof DamagedError)) {
        structure = messageOf(error);
        showDamage();
      }
      return storageProblem(fault, error);
    },
    noteDamaged: (row, detail) => {
      const name = nameOf(row);
      if (rows.has(name)) return;
      metrics.storageFaults.inc({ fault: 'damaged' });
      log.error({ ...row, reason: detail }, 'a stored row is damaged');
      if (rows.size < MAX_ROWS) rows.set(name, row);
      showDamage();
    },
    noteSound: (row) => {
      if (rows.delete(nameOf(row))) showDamage();
    },
    noteFailing: (detail) => begin('failed', detail),
    noteWorking: () => {
      end('failed');
      end('full');
    },
    noteWhole: () => {
      structure = null;
      showDamage();
    },
    get isFailing() {
      return problems.has('failed') || problems.has('full');
    },
    get isSuspect() {
      return structure !== null;
    },
    get damagedRows() {
      return [...rows.values()];
    },
    get problems() {
      return [...problems.values()];
    },
  };
}
