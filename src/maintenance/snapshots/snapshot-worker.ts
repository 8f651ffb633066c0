import { createHash, type Hash } from 'node:crypto';
import { closeSync, fdatasyncSync, openSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CHUNK_SLOTS, type VectorChunk } from '../../index/vector-table.js';
import { InputError } from '../../errors.js';
import { digestOf, PIECE_BYTES, readPieces, syncToDisk } from '../../files.js';
import { serveRequests, type Answered } from '../../threads/worker-loop.js';
import { GRAPH, IDS, INDEXED, MANIFEST, SHARES, VECTORS } from './snapshot-files.js';
import type { SnapshotManifest } from './snapshot-manifest.js';

/** Writes and checks hundreds of megabytes on a separate thread, so that no request waits. */
export type SnapshotRequest = { id: number } & (
  | { type: 'slots'; folder: string; ids: string; shares: Float32Array }
  | { type: 'finish'; folder: string; target: string; manifest: Omit<SnapshotManifest, 'files'>; indexed: Int32Array; chunks: VectorChunk[] }
  | { type: 'read'; folder: string; manifest: SnapshotManifest; chunks: VectorChunk[] }
);

export interface SnapshotContent {
  /** Item ids by slot; '' for a slot without an item. */
  ids: string;
  shares: Float32Array;
  indexed: Int32Array;
}

const bytesOf = (values: Float32Array | Int32Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

function append(path: string, pieces: Iterable<Uint8Array>): void {
  const descriptor = openSync(path, 'a');
  try {
    for (const piece of pieces) {
      for (let at = 0; at < piece.length;) at += writeSync(descriptor, piece, at, Math.min(PIECE_BYTES, piece.length - at));
      fdatasyncSync(descriptor);
    }
  } finally {
    closeSync(descriptor);
  }
}

/** The vectors of slots [0, slots), in pieces. They are copies, because Node cannot write a file from shared memory. */
function* vectorPieces(chunks: readonly VectorChunk[], slots: number, dim: number): Generator<Uint8Array> {
  for (const [number, { vectors }] of chunks.entries()) {
    const bytes = Math.min(CHUNK_SLOTS, slots - number * CHUNK_SLOTS) * dim * 4;
    for (let at = 0; at < bytes; at += PIECE_BYTES) yield new Uint8Array(vectors, at, Math.min(PIECE_BYTES, bytes - at)).slice();
  }
}

function finish({ folder, target, manifest, indexed, chunks }: Extract<SnapshotRequest, { type: 'finish' }>): Answered {
  append(join(folder, VECTORS), vectorPieces(chunks, manifest.slots, manifest.dim));
  append(join(folder, INDEXED), [bytesOf(indexed)]);
  syncToDisk(join(folder, GRAPH));
  const files = Object.fromEntries([IDS, SHARES, VECTORS, INDEXED, GRAPH].map((name) => [name, digestOf(join(folder, name))]));
  writeFileSync(join(folder, MANIFEST), JSON.stringify({ ...manifest, files } satisfies SnapshotManifest), { flush: true });
  syncToDisk(folder);
  rmSync(target, { recursive: true, force: true });
  renameSync(folder, target);
  syncToDisk(dirname(target));
  return { answer: Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0) };
}

/** Reads the vectors into the chunks. @throws InputError naming the file whose digest does not match */
function read({ folder, manifest, chunks }: Extract<SnapshotRequest, { type: 'read' }>): Answered {
  const verified = (name: string, take: (piece: Uint8Array, position: number) => void): void => {
    const expected = manifest.files[name];
    const hash: Hash = createHash('sha256');
    const bytes = readPieces(join(folder, name), (piece, position) => {
      hash.update(piece);
      take(piece, position);
    });
    if (bytes !== expected?.bytes || hash.digest('hex') !== expected.sha256) throw new InputError(`${name} is not what was written`);
  };
  const whole = (name: string): Uint8Array<ArrayBuffer> => {
    const bytes = new Uint8Array(manifest.files[name]?.bytes ?? 0);
    verified(name, (piece, position) => {
      if (position + piece.length <= bytes.length) bytes.set(piece, position);
    });
    return bytes;
  };
  const ids = Buffer.from(whole(IDS).buffer).toString('utf8');
  const shares = new Float32Array(whole(SHARES).buffer);
  const indexed = new Int32Array(whole(INDEXED).buffer);
  const chunkBytes = CHUNK_SLOTS * manifest.dim * 4;
  verified(VECTORS, (piece, position) => {
    for (let at = 0; at < piece.length;) {
      const chunk = chunks[Math.floor((position + at) / chunkBytes)];
      const offset = (position + at) % chunkBytes;
      const length = Math.min(piece.length - at, chunkBytes - offset);
      if (chunk !== undefined) new Uint8Array(chunk.vectors, offset, length).set(piece.subarray(at, at + length));
      at += length;
    }
  });
  verified(GRAPH, () => undefined);
  return { answer: { ids, shares, indexed } satisfies SnapshotContent, transfer: [shares.buffer, indexed.buffer] };
}

serveRequests<SnapshotRequest>((request) => {
  switch (request.type) {
    case 'slots':
      append(join(request.folder, IDS), [Buffer.from(request.ids)]);
      append(join(request.folder, SHARES), [bytesOf(request.shares)]);
      return { answer: null };
    case 'finish':
      return finish(request);
    case 'read':
      return read(request);
  }
});
