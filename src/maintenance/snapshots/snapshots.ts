import type { Logger } from 'pino';
import { InputError, ReelfuseError, messageOf } from '../../errors.js';
import type { Metrics } from '../../metrics.js';
import type { ChangeFeed } from '../../store/changes.js';
import type { ItemStore } from '../../store/items.js';
import type { StorageHealth } from '../../store/storage-health.js';
import { startWorker, type WorkerClient } from '../../threads/worker-client.js';
import { MANIFEST } from './snapshot-files.js';
import type { SnapshotManifest } from './snapshot-manifest.js';
import { openSnapshotFolder, type Snapshot } from './snapshot-folder.js';
import { restoreSnapshot, type RestoredItems } from './snapshot-restore.js';
import type { SnapshotSubject } from './snapshot-subject.js';
import { writeSnapshot } from './snapshot-writing.js';

export type { Snapshot } from './snapshot-folder.js';

export interface RestoredSnapshot extends RestoredItems {
  snapshot: string;
}

/**
 * Vectors, slots and HNSW graph of the serving generation on the disk, so that a restart need not build them again. The store is
 * authoritative: a restart reads the changes since the snapshot from it, by the change sequence.
 */
export interface Snapshots {
  /** Writes a snapshot now; reads and writes go on. @throws ReelfuseError 409 `snapshot_in_progress`, 503 `snapshot_failed` */
  write(): Promise<Snapshot>;
  /** Fills an empty generation from the newest intact snapshot of its model. Null: there is none. Damaged ones are set aside. */
  restore(): Promise<RestoredSnapshot | null>;
  /** Newest first. */
  list(): Snapshot[];
  /** Writes a snapshot when items have changed since the last one, or the index was rebuilt. */
  writeIfStale(): Promise<void>;
  /** Stops the schedule and waits for a snapshot that is being written. */
  close(): Promise<void>;
}

export interface SnapshotsSetup {
  folder: string;
  items: Pick<ItemStore, 'list'>;
  changes: Pick<ChangeFeed, 'itemSequence'>;
  current: () => SnapshotSubject;
  /** Minutes between two snapshots; 0: no schedule. */
  minutes: number;
  kept: number;
  metrics: Metrics;
  health: Pick<StorageHealth, 'told'>;
  log: Logger;
}

const WORKER = new URL('./snapshot-worker.js', import.meta.url).href;

export function openSnapshots({ items, changes, current, minutes, kept, metrics, health, log, ...setup }: SnapshotsSetup): Snapshots {
  const folder = openSnapshotFolder(setup.folder);
  let running: Promise<Snapshot> | null = null;
  /** Item sequence and image of the last one that was written or restored. */
  let last: { sequence: number; of: WeakRef<SnapshotSubject['image']> } | null = null; // weak, so that a retired generation is freed
  const remember = (sequence: number, { image }: SnapshotSubject): void => {
    last = { sequence, of: new WeakRef(image) };
  };

  const withWorker = async <Value>(task: (worker: WorkerClient) => Promise<Value>): Promise<Value> => {
    const worker = startWorker(WORKER, null, (error) => log.error({ err: error }, 'the snapshot thread has died'));
    try {
      return await task(worker);
    } finally {
      await worker.close();
    }
  };

  const writeAndPrune = async (subject: SnapshotSubject): Promise<Snapshot> => {
    const started = performance.now();
    let snapshot: Snapshot;
    try {
      const sequence = changes.itemSequence;
      snapshot = await subject.lease(() => withWorker((worker) => writeSnapshot(folder, subject, sequence, worker)));
      remember(sequence, subject);
    } catch (error) {
      metrics.snapshots.inc({ outcome: 'failed' });
      health.told(error);
      log.error({ err: error }, 'no snapshot was written; the next start reads the store instead');
      throw new ReelfuseError(503, 'snapshot_failed', `the snapshot was not written: ${messageOf(error)}`, { retryAfter: 60, cause: error });
    }
    metrics.snapshots.inc({ outcome: 'written' });
    log.info({ ...snapshot, seconds: (performance.now() - started) / 1000 }, 'snapshot written');
    try {
      folder.prune(kept);
    } catch (error) {
      log.error({ err: error }, 'old snapshots could not be removed');
    }
    return snapshot;
  };
  const begin = (): Promise<Snapshot> => {
    const work = writeAndPrune(current());
    running = work;
    const end = (): void => {
      running = null;
    };
    work.then(end, end);
    return work;
  };

  const setAside = (name: string, reason: string): void => {
    log.warn({ snapshot: name, reason }, 'a damaged snapshot was set aside');
    metrics.snapshots.inc({ outcome: 'damaged' });
    folder.setAside(name);
  };
  /** Null: it cannot be used. */
  const tryRestore = async (subject: SnapshotSubject, name: string, manifest: SnapshotManifest): Promise<RestoredSnapshot | null> => {
    if (manifest.sequence > changes.itemSequence) {
      setAside(name, `it knows change ${manifest.sequence}, the store ends at ${changes.itemSequence}`);
      return null;
    }
    if (!isOf(manifest, subject)) {
      log.info({ snapshot: name, of: manifest.fingerprint }, 'a snapshot of another model or index was passed over');
      return null;
    }
    try {
      const restored = await withWorker((worker) => restoreSnapshot(folder.pathOf(name), manifest, subject, items, worker));
      remember(manifest.sequence, subject);
      return { snapshot: name, ...restored };
    } catch (error) {
      if (!(error instanceof InputError)) throw error; // the snapshot is not the reason
      setAside(name, error.message);
      return null;
    }
  };

  const writeIfStale = async (): Promise<void> => {
    // a rebuilt generation has another graph, even with the same items
    if (running !== null || (last?.sequence === changes.itemSequence && last.of.deref() === current().image)) return;
    await begin().catch(() => undefined); // logged and counted; there is no caller to tell
  };
  let scheduled = Promise.resolve();
  const timer =
    minutes === 0
      ? null
      : setInterval(() => {
          scheduled = writeIfStale();
        }, minutes * 60_000);

  return {
    list: () => folder.list(),
    write: () => {
      if (running !== null) throw new ReelfuseError(409, 'snapshot_in_progress', 'a snapshot is being written', { retryAfter: 5 });
      return begin();
    },
    restore: async () => {
      for (const { name, manifest } of folder.find()) if (manifest === null) setAside(name, `${MANIFEST} is missing or malformed`);
      for (const { name, manifest } of folder.find()) {
        const restored = manifest === null ? null : await tryRestore(current(), name, manifest); // null: it is damaged and could not be set aside
        if (restored !== null) return restored;
      }
      return null;
    },
    writeIfStale,
    close: async () => {
      if (timer !== null) clearInterval(timer);
      await scheduled;
      await running?.catch(() => undefined); // logged already
    },
  };
}

const isOf = (manifest: SnapshotManifest, { fingerprint, dim, hnsw }: SnapshotSubject): boolean =>
  manifest.fingerprint === fingerprint && manifest.dim === dim && manifest.hnsw.m === hnsw.m && manifest.hnsw.ef_construction === hnsw.efConstruction;
