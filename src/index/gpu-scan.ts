import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Provider } from '../config.js';
import { packageFile } from '../package-root.js';
import type { Asked, Neighbours, ScanIndex } from './ann-index.js';
import { nearest } from './exact.js';
import type { Turns } from '../threads/mutex.js';
import { createSlotSet } from './slot-set.js';
import type { VectorTable } from './vector-table.js';

/** As in models/dff/scan_graph.py, which writes the graphs. */
const GROUP = 16;
/** Candidates beyond the wanted ones: a GPU adds in another order, which may swap near neighbours. */
const MARGIN = 12;
/** Penalty of a row that holds no item; finite, because shaders need not know infinity. */
const FREE = -3e38;
/** Rows that are uploaded together whenever one of them has changed: 16 MiB, but enough groups for a deep search. */
const PART_BYTES = 2 ** 24;
const PART_MIN_ROWS = 8192;
const FIRST_ROWS = 1024;
/** A table that must be copied for each batch; a larger one costs more than the graph. */
const FED_BYTES = 2 ** 25;

interface Part {
  /** Slot of its first row. */
  first: number;
  /** [N, d], multiplied by the table's scale; N is a multiple of GROUP. */
  rows: Float32Array;
  /** [N] */
  penalties: Float32Array;
  /** Where the provider keeps tensors, its copy of the two; null: there is none yet. */
  kept: { table: Tensor; penalties: Tensor } | null;
  hasChanged: boolean;
}

/**
 * Exact search on a GPU: one product of all rows with a batch of queries, the best of which are scored again here, so that
 * ids and similarities are those of a search on the CPU. onnxruntime-node keeps tensors on the GPU only for WebGPU; CUDA
 * is fed the table with each batch.
 * @param turns taken for whatever the provider does
 */
export function createGpuScanIndex(table: VectorTable, provider: Provider, turns: Turns): ScanIndex {
  const { dim } = table;
  const isKept = provider === 'webgpu';
  const open = (file: string, options: InferenceSession.SessionOptions = {}): Promise<InferenceSession> => {
    const settings = { executionProviders: [provider], logSeverityLevel: 4 as const, ...options };
    return turns(() => InferenceSession.create(packageFile('models', file), settings));
  };
  const opened = Promise.all([open('scan-float32.onnx'), isKept ? open('upload.onnx', { preferredOutputLocation: 'gpu-buffer' }) : null]);
  opened.catch(() => undefined); // the first search reports it
  const partRows = Math.max(PART_MIN_ROWS, Math.floor(PART_BYTES / (4 * dim * GROUP)) * GROUP);
  const live = createSlotSet();
  const parts: Part[] = [];

  const resize = (part: Part, rows: number): void => {
    const { rows: old, penalties } = part;
    part.rows = new Float32Array(rows * dim);
    part.rows.set(old);
    part.penalties = new Float32Array(rows).fill(FREE);
    part.penalties.set(penalties);
  };
  const partOf = (slot: number): Part => {
    for (let first = parts.length * partRows; first <= slot; first += partRows)
      parts.push({ first, rows: new Float32Array(0), penalties: new Float32Array(0), kept: null, hasChanged: true });
    const part = parts[Math.floor(slot / partRows)] as Part; // made above
    const needed = slot - part.first + 1;
    if (needed > part.penalties.length) resize(part, Math.min(partRows, Math.max(FIRST_ROWS, 2 ** Math.ceil(Math.log2(needed)))));
    part.hasChanged = true;
    return part;
  };

  const feedsOf = async (part: Part, uploading: InferenceSession | null): Promise<{ table: Tensor; penalties: Tensor }> => {
    if (part.kept !== null && !part.hasChanged) return part.kept;
    part.hasChanged = false; // a change from here on is in the next upload
    const size = part.penalties.length;
    const fed = { table: new Tensor('float32', part.rows, [size, dim]), penalties: new Tensor('float32', part.penalties, [size]) };
    if (uploading === null) return fed;
    const uploaded = uploading.run(fed);
    uploaded.catch(() => (part.hasChanged = true));
    const { kept_table: rows, kept_penalties: penalties } = await uploaded;
    part.kept?.table.dispose();
    part.kept?.penalties.dispose();
    part.kept = { table: rows as Tensor, penalties: penalties as Tensor }; // the graph's two outputs
    return part.kept;
  };
  /** Slots that hold each query's best of this part, [B × count], or all of them where it is too small to choose from. */
  const candidatesOf = async (part: Part, queries: Tensor, count: number): Promise<(query: number) => Int32Array> => {
    const [scanning, uploading] = await opened;
    const size = part.penalties.length;
    if (count > size / GROUP) {
      const all = Int32Array.from({ length: size }, (_, row) => part.first + row);
      return () => all;
    }
    const feeds = { ...(await feedsOf(part, uploading)), queries, count: new Tensor('int64', BigInt64Array.of(BigInt(count)), [1]) };
    const rows = (await scanning.run(feeds)).rows?.data as Int32Array;
    return (query) => rows.subarray(query * count, (query + 1) * count).map((row) => part.first + row);
  };

  return {
    get size() {
      return live.size;
    },
    add: (slot) => {
      const part = partOf(slot);
      const row = slot - part.first;
      const scale = table.scale(slot);
      table.copy(slot, part.rows, row * dim);
      for (let i = row * dim; i < (row + 1) * dim; i++) part.rows[i] = (part.rows[i] as number) * scale; // within the part
      part.penalties[row] = 0;
      live.add(slot);
    },
    remove: (slot) => {
      if (!live.delete(slot)) return;
      const part = partOf(slot);
      part.penalties[slot - part.first] = FREE;
    },
    isExact: true,
    isCheaper: () => isKept || live.size * dim * 4 <= FED_BYTES,
    search: async (queries, asked) => {
      const wanted = MARGIN + asked.reduce((most, { count, except }) => Math.max(most, count + except.length), 0);
      const tensor = new Tensor('float32', queries, [asked.length, dim]);
      await opened; // takes turns too
      const found = await turns(async () => {
        const candidates: ((query: number) => Int32Array)[] = [];
        for (const part of parts) candidates.push(await candidatesOf(part, tensor, wanted));
        return candidates;
      });
      return asked.map(({ count, except }: Asked, position): Neighbours => {
        const excepted = new Set(except);
        const slots = found.flatMap((of) => [...of(position)]).filter((slot) => live.has(slot) && !excepted.has(slot));
        return nearest(table, slots, queries.subarray(position * dim, (position + 1) * dim), count);
      });
    },
    close: async () => {
      const [scanning, uploading] = await opened;
      await turns(async () => {
        for (const { kept } of parts) for (const tensor of kept === null ? [] : [kept.table, kept.penalties]) tensor.dispose();
        await scanning.release();
        await uploading?.release();
      });
    },
  };
}
