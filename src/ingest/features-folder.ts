import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import { InputError, messageOf } from '../errors.js';
import type { Features, FeaturesFile } from './features.js';
import { openFeaturesFile } from './features-file.js';
import { fileVersion } from './file-version.js';
import type { ExpectedShape } from './item-input.js';

const INDEX = 'index.json';
const FORMAT = 'reelfuse-features';
const FORMAT_VERSION = 1;
const OPEN_SHARDS = 32; // at once: an extraction of a million clips has thousands of files

interface Shard {
  file: string;
  items: number;
  bytes: number;
}

/**
 * Opens a folder that `dff extract` has written: an index and shards, each a features file.
 * @throws InputError naming the file and what does not fit
 */
export function openFeaturesFolder(folder: string, expected: ExpectedShape | null): Features {
  const shards = readIndex(join(folder, INDEX));
  const shardOf = new Map<string, string>();
  let shape = expected;
  for (const { file, items, bytes } of shards) {
    const path = join(folder, file);
    const size = statSync(path, { throwIfNoEntry: false })?.size;
    if (size !== bytes) throw new InputError(`${path}: ${size === undefined ? 'is missing' : `has ${size} bytes, ${INDEX} says ${bytes}`}`);
    const opened = openFeaturesFile(path, shape);
    try {
      ({ shape } = opened);
      if (opened.count !== items) throw new InputError(`${path}: has ${opened.count} rows, ${INDEX} says ${items}`);
      for (const id of opened.itemIds()) {
        const other = shardOf.get(id);
        if (other !== undefined) throw new InputError(`${path}: item ${id} has another row in ${other}`);
        shardOf.set(id, path);
      }
    } finally {
      opened.close();
    }
  }
  if (shape === null) throw new InputError(`${join(folder, INDEX)}: names no shards`);
  const open = new LRUCache<string, FeaturesFile>({ max: OPEN_SHARDS, dispose: (file) => file.close() });
  const fetched = (path: string): FeaturesFile => {
    const known = open.get(path);
    if (known !== undefined) return known;
    const opened = openFeaturesFile(path, shape);
    open.set(path, opened);
    return opened;
  };
  return {
    source: fileVersion(join(folder, INDEX)),
    shape,
    count: shardOf.size,
    read: (itemId) => {
      const path = shardOf.get(itemId);
      return path === undefined ? null : fetched(path).read(itemId);
    },
    close: () => open.clear(),
  };
}

function readIndex(path: string): Shard[] {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new InputError(`${path}: cannot be read: ${messageOf(error)}`, { cause: error });
  }
  type Index = Partial<Record<'format' | 'format_version' | 'shards' | 'complete', unknown>>;
  const { format, format_version: version, shards, complete } = (content ?? {}) as Index;
  if (format !== FORMAT || version !== FORMAT_VERSION)
    throw new InputError(`${path}: is not an index of format ${FORMAT}, version ${FORMAT_VERSION}`);
  if (complete === false) throw new InputError(`${path}: its extraction is not finished; the same \`dff extract\` command again goes on`);
  if (!Array.isArray(shards) || !shards.every(isShard)) throw new InputError(`${path}: shards is not a list of file, items and bytes`);
  return shards;
}

function isShard(value: unknown): value is Shard {
  const { file, items, bytes } = (value ?? {}) as Partial<Record<keyof Shard, unknown>>;
  return typeof file === 'string' && /^[\w.-]+$/.test(file) && typeof items === 'number' && typeof bytes === 'number';
}
