import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Logger } from 'pino';
import { InputError, ReelfuseError, messageOf } from '../errors.js';
import type { HnswSettings } from '../index/hnsw.js';
import { createSlotSet } from '../index/slot-set.js';
import type { Metrics } from '../metrics.js';
import type { Store } from '../store/store.js';
import { startWorker, type WorkerClient } from '../threads/worker-client.js';
import type { PublishedItem } from '../retrieval/embedded/catalogue.js';
import { loadRows, publishable, type Generation } from '../generations/generation.js';
import { GRAPH, MANIFEST } from './snapshot-files.js';
import { parseSnapshotManifest, type SnapshotManifest } from './snapshot-manifest.js';
import type { SnapshotContent } from './snapshot-worker.js';

export interface Snapshot {
  name: string;
  fingerprint: string;
  sequence: number;
  created_at: number;
  items: number;
  bytes: number;
}

export interface Restored {
  snapshot: string;
  /** Taken as they were. */
  adopted: number;
  /** Changed since, and read from the store. */
  replayed: number;
}

/**
 * The vectors, slots and HNSW graph of the serving generation on the disk, so that a restart need not build them again.
 * The store stays the truth: what has changed since a snapshot is read from it, by the change sequence.
 */
export interface Snapshots {
  /** Writes one now, beside reads and writes. @throws ReelfuseError 409 `snapshot_in_progress`, 503 `snapshot_failed` */
  write(): Promise<Snapshot>;
  /**
   * Fills an empty generation from the newest intact snapshot of its model. Null: there is none. Damaged ones are set
   * aside. Rejects when what the store has beyond the snapshot cannot be fused.
   */
  restore(generation: Generation): Promise<Restored | null>;
  /** Newest first. */
  list(): Snapshot[];
  /** Writes one when items have changed since the last, or the index was built anew. */
  writeIfStale(): Promise<void>;
  /** Stops the schedule and waits for a snapshot on its way. */
  close(): Promise<void>;
}

export interface SnapshotsSetup {
  folder: string;
  store: Store;
  current: () => Generation;
  /** Resolves when the writes that have begun before this call are published. */
  settleWrites: () => Promise<void>;
  hnsw: HnswSettings;
  /** 0: only when asked. */
  minutes: number;
  kept: number;
  metrics: Metrics;
  log: Logger;
}

/** An item as the store has it. */
interface Read extends Pick<PublishedItem, 'fields' | 'created'> {
  row: number;
  sequence: number;
}

const TEMPORARY = '.writing';
const DAMAGED = '.damaged-';
/** Slots and rows handled between two turns of the event loop: a few milliseconds. */
const SLICE = 2048;
const WORKER = new URL('./snapshot-worker.js', import.meta.url).href;

export function openSnapshots(setup: SnapshotsSetup): Snapshots {
  const { folder, store, metrics, log } = setup;
  let running: Promise<Snapshot> | null = null;
  /** Item sequence and generation of the last one that was written or restored. */
  let last: { sequence: number; of: WeakRef<Generation> } | null = null; // a retired one is to be freed

  const withWorker = async <Value>(task: (worker: WorkerClient) => Promise<Value>): Promise<Value> => {
    const worker = startWorker(WORKER, null, (error) => log.error({ err: error }, 'the snapshot thread has died'));
    try {
      return await task(worker);
    } finally {
      await worker.close();
    }
  };

  const folders = (): { name: string; manifest: SnapshotManifest | null }[] => {
    return namesIn(folder)
      .filter((name) => !name.startsWith('.'))
      .map((name) => ({ name, manifest: manifestIn(join(folder, name)) }))
      .sort((a, b) => (b.manifest?.created_at ?? 0) - (a.manifest?.created_at ?? 0));
  };
  const list = (): Snapshot[] =>
    folders().flatMap(({ name, manifest }) => {
      if (manifest === null) return [];
      const { fingerprint, sequence, created_at, items, files } = manifest;
      return [{ name, fingerprint, sequence, created_at, items, bytes: Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0) }];
    });

  const write = async (generation: Generation): Promise<Snapshot> => {
    const { artifact, catalogue, pool } = generation;
    const { fingerprint, manifest } = artifact;
    const temporary = join(folder, TEMPORARY);
    rmSync(temporary, { recursive: true, force: true });
    mkdirSync(temporary, { recursive: true });
    const sequence = store.itemSequence();
    await setup.settleWrites(); // every change up to that sequence is in its slot now
    const indexed = await pool.save(join(temporary, GRAPH));
    const { slots, size: items } = catalogue;
    const created = Date.now();
    const name = `${created}-${fingerprint.slice(0, 12)}`;
    return withWorker(async (worker) => {
      for (let first = 0; first < slots || first === 0; first += SLICE) {
        const count = Math.min(SLICE, slots - first);
        const found = Array.from({ length: count }, (_, row) => catalogue.atSlot(first + row));
        const ids = found.map((item) => `${item?.fields.item_id ?? ''}\n`).join('');
        const shares = Float32Array.from(found, (item) => item?.idShare ?? 0);
        await worker.call({ type: 'slots', folder: temporary, ids, shares });
      }
      const bytes = await worker.call<number>({
        type: 'finish',
        folder: temporary,
        target: join(folder, name),
        manifest: {
          format: 'reelfuse-snapshot',
          format_version: 1,
          fingerprint,
          sequence,
          created_at: created,
          dim: manifest.dim,
          hnsw: { m: setup.hnsw.m, ef_construction: setup.hnsw.efConstruction },
          slots,
          items,
          first_recalls: generation.firstRecalls,
        } satisfies Omit<SnapshotManifest, 'files'>,
        indexed,
        chunks: [...catalogue.chunks],
      });
      last = { sequence, of: new WeakRef(generation) };
      return { name, fingerprint, sequence, created_at: created, items, bytes };
    });
  };

  const prune = (): void => {
    for (const { name } of folders().slice(setup.kept)) rmSync(join(folder, name), { recursive: true, force: true });
    for (const name of namesIn(folder)) if (name.startsWith(DAMAGED)) rmSync(join(folder, name), { recursive: true, force: true });
  };

  const begin = (): Promise<Snapshot> => {
    const started = performance.now();
    const generation = setup.current();
    const work = generation
      .use(() => write(generation))
      .then(
        (snapshot) => {
          metrics.snapshots.inc({ outcome: 'written' });
          log.info({ ...snapshot, seconds: (performance.now() - started) / 1000 }, 'snapshot written');
          try {
            prune();
          } catch (error) {
            log.error({ err: error }, 'old snapshots could not be removed');
          }
          return snapshot;
        },
        (error: unknown) => {
          metrics.snapshots.inc({ outcome: 'failed' });
          log.error({ err: error }, 'no snapshot was written; the next start reads the store instead');
          throw new ReelfuseError(503, 'snapshot_failed', `the snapshot was not written: ${messageOf(error)}`, { retryAfter: 60, cause: error });
        },
      );
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
    rmSync(join(folder, DAMAGED + name), { recursive: true, force: true });
    renameSync(join(folder, name), join(folder, DAMAGED + name));
  };

  const isOurs = (generation: Generation, manifest: SnapshotManifest): boolean =>
    manifest.fingerprint === generation.artifact.fingerprint &&
    manifest.dim === generation.artifact.manifest.dim &&
    manifest.hnsw.m === setup.hnsw.m &&
    manifest.hnsw.ef_construction === setup.hnsw.efConstruction;

  /** All items, a slice at a time, each with its row. No item is written before the catalogue is ready. */
  const readItems = async ({ catalogue }: Generation, signal: AbortSignal): Promise<Read[]> => {
    const read: Read[] = [];
    let after: string | null = null;
    for (;;) {
      signal.throwIfAborted();
      const items = store.items(after, SLICE);
      if (items.length === 0) return read;
      for (const item of items) {
        const { fields, created } = publishable(item);
        read.push({ fields, created, row: catalogue.rows.rowOf(fields.item_id), sequence: item.sequence });
      }
      after = items.at(-1)?.item_id ?? null;
      await nextTurn();
    }
  };

  /** Items that the snapshot has as the store has them are adopted. @returns the ids of the others */
  const adopt = async (
    { catalogue }: Generation,
    manifest: SnapshotManifest,
    read: readonly Read[],
    { ids, shares, indexed }: SnapshotContent,
  ): Promise<string[]> => {
    const slots = new Int32Array(catalogue.rows.size).fill(-1);
    ids.split('\n').forEach((itemId, slot) => {
      const row = itemId === '' ? undefined : catalogue.rows.find(itemId);
      if (row !== undefined) slots[row] = slot;
    });
    const isIndexed = createSlotSet();
    for (const slot of indexed) isIndexed.add(slot);
    const changed: string[] = [];
    let done = 0;
    for (const { fields, created, row, sequence } of read) {
      const slot = slots[row] as number; // rows.size of them
      if (slot < 0 || sequence > manifest.sequence) changed.push(fields.item_id);
      else catalogue.adopt({ fields, created, row, slot, idShare: shares[slot] ?? null }, isIndexed.has(slot));
      if (++done % SLICE === 0) await nextTurn();
    }
    return changed;
  };

  const restoreFrom = async (generation: Generation, name: string, manifest: SnapshotManifest): Promise<Restored> => {
    const { artifact, catalogue, pool } = generation;
    const path = join(folder, name);
    await catalogue.reserve(manifest.slots);
    let indexed: Int32Array = new Int32Array(0);
    let content: SnapshotContent;
    let nodes: Int32Array;
    const failed = new AbortController();
    const reading = readItems(generation, failed.signal); // while other threads read the vectors and the graph
    reading.catch(() => undefined); // it matters only where the snapshot is used
    try {
      content = await withWorker((worker) => worker.call<SnapshotContent>({ type: 'read', folder: path, manifest, chunks: [...catalogue.chunks] }));
      indexed = content.indexed;
      catalogue.measure(indexed); // the recommenders round the vectors as they take the slots, by their norms
      nodes = await pool.load(join(path, GRAPH), indexed);
    } catch (error) {
      failed.abort();
      await catalogue.finishAdoption(indexed, indexed); // an older snapshot, or the store, gets the slots
      throw new InputError(messageOf(error), { cause: error });
    }
    const changed = await adopt(generation, manifest, await reading, content);
    const adopted = catalogue.size;
    await catalogue.finishAdoption(indexed, nodes);
    generation.firstRecalls = [...(manifest.first_recalls ?? [])];
    for (let first = 0; first < changed.length; first += SLICE) {
      await loadRows(generation, store, store.itemsWithVectorsOf(artifact.fingerprint, changed.slice(first, first + SLICE)));
    }
    last = { sequence: manifest.sequence, of: new WeakRef(generation) };
    return { snapshot: name, adopted, replayed: changed.length };
  };

  const writeIfStale = async (): Promise<void> => {
    // a generation that was built anew has another graph, even of the same items
    if (running !== null || (last?.sequence === store.itemSequence() && last.of.deref() === setup.current())) return;
    await begin().catch(() => undefined); // logged and counted; asked for by nobody
  };
  let scheduled = Promise.resolve();
  const timer =
    setup.minutes === 0
      ? null
      : setInterval(() => {
          scheduled = writeIfStale();
        }, setup.minutes * 60_000);

  return {
    list,
    write: () => {
      if (running !== null) throw new ReelfuseError(409, 'snapshot_in_progress', 'a snapshot is being written', { retryAfter: 5 });
      return begin();
    },
    restore: async (generation) => {
      for (const { name, manifest } of folders()) if (manifest === null) setAside(name, `${MANIFEST} is missing or malformed`);
      for (const { name, manifest } of folders()) {
        if (manifest === null) continue; // could not even be set aside
        if (manifest.sequence > store.itemSequence())
          setAside(name, `it knows change ${manifest.sequence}, the store ends at ${store.itemSequence()}`);
        else if (!isOurs(generation, manifest))
          log.info({ snapshot: name, of: manifest.fingerprint }, 'a snapshot of another model or index was passed over');
        else
          try {
            return await restoreFrom(generation, name, manifest);
          } catch (error) {
            if (!(error instanceof InputError)) throw error; // not the snapshot's fault
            setAside(name, error.message);
          }
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

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // nothing was written yet, or the folder cannot be read: writing will say so
  }
}

function manifestIn(folder: string): SnapshotManifest | null {
  try {
    return parseSnapshotManifest(readFileSync(join(folder, MANIFEST), 'utf8'));
  } catch {
    return null; // a folder without a manifest is a snapshot that was never finished
  }
}
