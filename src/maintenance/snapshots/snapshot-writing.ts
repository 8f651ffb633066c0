import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder } from '../../files.js';
import type { WorkerClient } from '../../threads/worker-client.js';
import { GRAPH } from './snapshot-files.js';
import type { SnapshotManifest } from './snapshot-manifest.js';
import type { Snapshot, SnapshotFolder } from './snapshot-folder.js';
import type { SnapshotSubject } from './snapshot-subject.js';

/** Slots handled in one turn of the event loop: a few milliseconds. */
const SLICE = 2048;

/** Writes vectors, slots and graph of a generation; reads and writes go on. @param sequence newest item change that the snapshot holds */
export async function writeSnapshot(folder: SnapshotFolder, subject: SnapshotSubject, sequence: number, worker: WorkerClient): Promise<Snapshot> {
  const { temporary } = folder;
  const { fingerprint, dim, hnsw, image, firstRecalls } = subject;
  rmSync(temporary, { recursive: true, force: true });
  makeFolder(temporary);
  await subject.indexed(sequence);
  const indexed = await image.saveGraph(join(temporary, GRAPH));
  const { slots, items } = image;
  for (let first = 0; first < slots || first === 0; first += SLICE) {
    const { ids, shares } = image.slice(first, Math.min(SLICE, slots - first));
    await worker.call({ type: 'slots', folder: temporary, ids: ids.map((id) => `${id}\n`).join(''), shares });
  }
  const created = Date.now();
  const name = `${created}-${fingerprint.slice(0, 12)}`;
  const manifest: Omit<SnapshotManifest, 'files'> = {
    format: 'reelfuse-snapshot',
    format_version: 1,
    fingerprint,
    sequence,
    created_at: created,
    dim,
    hnsw: { m: hnsw.m, ef_construction: hnsw.efConstruction },
    slots,
    items,
    first_recalls: firstRecalls,
  };
  const bytes = await worker.call<number>({
    type: 'finish',
    folder: temporary,
    target: folder.pathOf(name),
    manifest,
    indexed,
    chunks: [...image.chunks],
  });
  return { name, fingerprint, sequence, created_at: created, items, bytes };
}
