import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Clock } from '../clock.js';
import { messageOf } from '../errors.js';
import type { Metrics } from '../metrics.js';
import type { KeyValueStore } from '../store/key-values.js';
import type { StorageHealth } from '../store/storage-health.js';
import type { StoreCheck } from '../store/store-check.js';
import type { VectorStore } from '../store/vectors.js';

const HOUR_MS = 3_600_000;
/** Speed of a check: a fraction of what a slow disk reads. One that is waited for is faster by a factor. */
const BYTES_A_MS = 8 * 1024;
const ROWS_A_MS = 20;
const HASTE = 8;
/** Time until a call is made again that the disk has failed. */
const RETRY_MS = 60_000;
/** Time between two looks at whether a check is due. */
const LOOK_MS = 5000;
/** Looks before the first check: the load of the catalogue comes first. */
const FIRST_LOOKS = 12;
/** Looks until a database that was found to be damaged is checked again. */
const DAMAGED_LOOKS = 120;
/** Calls after which the position is kept. A restart repeats as many. */
const CALLS_KEPT = 1000;
const KEY = 'store_check';

/** Where the check stands, across restarts. */
interface Progress {
  /** Null: none is under way. */
  position: string | null;
  /** Pages that could not be read since it began. */
  unreadable: number;
  /** End of the last one, milliseconds since 1970; 0: there was none. */
  finished: number;
}

export interface ScheduledCheckSetup {
  check: StoreCheck;
  vectors: Pick<VectorStore, 'discard'>;
  keyValues: Pick<KeyValueStore, 'get' | 'set'>;
  health: Pick<StorageHealth, 'noteDamaged' | 'noteWhole' | 'told' | 'isSuspect'>;
  /** Time between two checks; 0: none is scheduled. */
  hours: number;
  clock: Pick<Clock, 'now'>;
  metrics: Pick<Metrics, 'checkedRows' | 'checkFinished'>;
  log: Pick<Logger, 'info' | 'warn' | 'error'>;
  /** Waits; rejects when the signal is aborted. */
  wait?: (milliseconds: number, signal: AbortSignal) => Promise<unknown>;
}

const waitFor = (milliseconds: number, signal: AbortSignal): Promise<unknown> => pause(milliseconds, undefined, { signal, ref: false });

/**
 * Reads the whole store again and again, slowly, and notes what is damaged. Damaged vectors are dropped, because the next start makes
 * them anew. A check that a restart interrupts goes on where it was. When SQLite calls the database damaged, a check begins at once,
 * also where none is scheduled.
 * @returns a function that ends it
 */
export function scheduleStoreCheck(setup: ScheduledCheckSetup): () => Promise<void> {
  const { hours, clock, log, wait = waitFor } = setup;
  const closing = new AbortController();
  const { signal } = closing;

  const run = async (): Promise<void> => {
    let progress = await readProgress(setup);
    if (progress.finished > 0) setup.metrics.checkFinished.set(progress.finished / 1000);
    const isDue = (): boolean => {
      const elapsed = clock.now() - progress.finished;
      if (hours === 0) return false;
      return progress.position !== null || elapsed < 0 || elapsed >= hours * HOUR_MS; // a clock that was set back has no say in it
    };
    for (let looks = 1, suspectFrom = 0; ; looks++) {
      await wait(LOOK_MS, signal);
      const isScheduled = looks >= FIRST_LOOKS && isDue();
      const isSuspect = setup.health.isSuspect && (isScheduled || looks >= suspectFrom);
      if (!isSuspect && !isScheduled) continue;
      progress = await checkWhole(progress, setup, isSuspect ? HASTE : 1, signal);
      suspectFrom = looks + DAMAGED_LOOKS;
    }
  };
  const running = run().catch((error: unknown) => {
    if (!signal.aborted) log.error({ err: error }, 'the store is not checked any more');
  });
  return async () => {
    closing.abort(new Error('the server is stopping'));
    await running;
  };
}

/** Checks to the end, from where the last one stands. @param haste factor of the speed */
async function checkWhole(from: Progress, setup: ScheduledCheckSetup, haste: number, signal: AbortSignal): Promise<Progress> {
  const { check, vectors, keyValues, health, clock, metrics, log, wait = waitFor } = setup;
  const keep = (progress: Progress): Promise<void> =>
    keyValues
      .set(KEY, JSON.stringify(progress))
      .catch((error: unknown) => void log.warn({ reason: messageOf(error) }, 'the position of the check was not kept'));
  let { position, unreadable } = haste === 1 ? from : BEGIN; // what was read before a fault says nothing about it
  let damaged = 0;
  for (let calls = 1; ; calls++) {
    signal.throwIfAborted();
    try {
      const found = await check.next(position);
      metrics.checkedRows.inc(found.rows);
      for (const { detail, ...row } of found.damaged) health.noteDamaged(row, detail);
      const stale = found.damaged.filter(({ table }) => table === 'vectors').map(({ key }) => key);
      if (stale.length > 0) await vectors.discard(stale);
      if (found.unreadable !== null) {
        unreadable++;
        log.error({ reason: found.unreadable }, 'a part of the store cannot be read: restore a backup');
        health.told(Object.assign(new Error(found.unreadable), { code: 'DAMAGED' }));
      }
      damaged += found.damaged.length;
      position = found.position;
      if (position === null) break;
      if (calls % CALLS_KEPT === 0) await keep({ ...from, position, unreadable });
      await wait(Math.max(1, found.bytes / BYTES_A_MS, found.rows / ROWS_A_MS) / haste, signal);
    } catch (error) {
      signal.throwIfAborted();
      log.warn({ reason: messageOf(error) }, 'the check of the store waits for its disk');
      await wait(RETRY_MS, signal);
    }
  }
  if (unreadable === 0 && haste > 1) health.noteWhole(); // another one may have passed the damage before it was found
  const finished = clock.now();
  metrics.checkFinished.set(finished / 1000);
  log.info({ damaged, unreadable }, 'the store was checked');
  const done: Progress = { ...BEGIN, finished };
  await keep(done);
  return done;
}

const BEGIN: Progress = { position: null, unreadable: 0, finished: 0 };

/** Where the last process left it; the beginning, where that cannot be read now. */
async function readProgress({ keyValues, log }: ScheduledCheckSetup): Promise<Progress> {
  try {
    const text = await keyValues.get(KEY);
    return text === null ? BEGIN : (JSON.parse(text) as Progress); // written by this file only
  } catch (error) {
    log.warn({ reason: messageOf(error) }, 'the position of the check could not be read');
    return BEGIN;
  }
}
