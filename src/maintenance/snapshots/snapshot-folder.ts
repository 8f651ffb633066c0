import { readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { MANIFEST } from './snapshot-files.js';
import { parseSnapshotManifest, type SnapshotManifest } from './snapshot-manifest.js';

export interface Snapshot {
  name: string;
  fingerprint: string;
  sequence: number;
  created_at: number;
  items: number;
  bytes: number;
}

export interface FoundSnapshot {
  name: string;
  /** Null: missing or malformed. */
  manifest: SnapshotManifest | null;
}

/** Prefix of a snapshot that is being written. */
const TEMPORARY = '.writing';
/** Prefix of a damaged snapshot, kept for inspection until the next snapshot is written. */
const DAMAGED = '.damaged-';

/** The folder that holds a folder for each snapshot. */
export interface SnapshotFolder {
  pathOf(name: string): string;
  /** Path of the snapshot that is being written. */
  readonly temporary: string;
  /** Newest first, by sequence: the time of a snapshot is only as good as the clock was. Unreadable ones last. */
  find(): FoundSnapshot[];
  list(): Snapshot[];
  setAside(name: string): void;
  /** Removes all but the newest `kept` snapshots, and those that were set aside. */
  prune(kept: number): void;
}

export function openSnapshotFolder(folder: string): SnapshotFolder {
  const find = (): FoundSnapshot[] =>
    namesIn(folder)
      .filter((name) => !name.startsWith('.'))
      .map((name) => ({ name, manifest: manifestIn(join(folder, name)) }))
      .sort((a, b) => orderOf(b) - orderOf(a) || (b.manifest?.created_at ?? 0) - (a.manifest?.created_at ?? 0));
  const remove = (name: string): void => rmSync(join(folder, name), { recursive: true, force: true });
  return {
    pathOf: (name) => join(folder, name),
    temporary: join(folder, TEMPORARY),
    find,
    list: () => find().flatMap(({ name, manifest }) => (manifest === null ? [] : [describe(name, manifest)])),
    setAside: (name) => {
      remove(DAMAGED + name);
      renameSync(join(folder, name), join(folder, DAMAGED + name));
    },
    prune: (kept) => {
      for (const { name } of find().slice(kept)) remove(name);
      for (const name of namesIn(folder)) if (name.startsWith(DAMAGED)) remove(name);
    },
  };
}

const orderOf = ({ manifest }: FoundSnapshot): number => manifest?.sequence ?? -1;

function describe(name: string, { fingerprint, sequence, created_at, items, files }: SnapshotManifest): Snapshot {
  return { name, fingerprint, sequence, created_at, items, bytes: Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0) };
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // no snapshot was written yet, or the folder cannot be read; then the next write fails with the reason
  }
}

function manifestIn(folder: string): SnapshotManifest | null {
  try {
    return parseSnapshotManifest(readFileSync(join(folder, MANIFEST), 'utf8'));
  } catch {
    return null; // a folder without a manifest is a snapshot that was never finished
  }
}
