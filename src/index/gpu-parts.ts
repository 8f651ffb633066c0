import { Tensor, type InferenceSession } from 'onnxruntime-node';
import type { VectorTable } from './vector-table.js';

/** Rows in a group. As in models/dff/scan_graph.py, which writes the graphs. */
export const GROUP = 16;
/** Penalty of a row that holds no item. Finite, because a shader need not know infinity. */
const FREE = -3e38;
/** A part is uploaded as a whole whenever one of its rows has changed: 16 MiB, but enough groups for a deep search. */
const PART_BYTES = 2 ** 24;
const PART_MIN_ROWS = 8192;
const FIRST_ROWS = 1024;

/** One graph's inputs for a part. */
export interface PartTensors {
  /** [N, d] */
  table: Tensor;
  /** [N] */
  penalties: Tensor;
}

/** Rows of consecutive slots, as the GPU gets them. */
export interface Part {
  /** Slot of the first row. */
  first: number;
  /** [N, d], multiplied by the table's scale; N is a multiple of GROUP. */
  rows: Float32Array;
  /** [N] */
  penalties: Float32Array;
  /** The copy in the provider's memory; null: none yet. */
  uploaded: PartTensors | null;
  hasChanged: boolean;
}

/** All rows of the table that a search may find, in parts of equal size. */
export interface GpuParts {
  readonly parts: readonly Part[];
  set(slot: number): void;
  clear(slot: number): void;
}

export function createGpuParts(table: VectorTable): GpuParts {
  const { dim } = table;
  const partRows = Math.max(PART_MIN_ROWS, Math.floor(PART_BYTES / (4 * dim * GROUP)) * GROUP);
  const parts: Part[] = [];

  const resize = (part: Part, rows: number): void => {
    const { rows: old, penalties } = part;
    part.rows = new Float32Array(rows * dim);
    part.rows.set(old);
    part.penalties = new Float32Array(rows).fill(FREE);
    part.penalties.set(penalties);
  };
  /** The slot's part, with memory for the slot; the caller changes it. */
  const changedPart = (slot: number): Part => {
    for (let first = parts.length * partRows; first <= slot; first += partRows)
      parts.push({ first, rows: new Float32Array(0), penalties: new Float32Array(0), uploaded: null, hasChanged: true });
    const part = parts[Math.floor(slot / partRows)] as Part; // made above
    const needed = slot - part.first + 1;
    if (needed > part.penalties.length) resize(part, Math.min(partRows, Math.max(FIRST_ROWS, 2 ** Math.ceil(Math.log2(needed)))));
    part.hasChanged = true;
    return part;
  };

  return {
    parts,
    set: (slot) => {
      const part = changedPart(slot);
      const row = slot - part.first;
      const scale = table.scale(slot);
      table.copy(slot, part.rows, row * dim);
      for (let i = row * dim; i < (row + 1) * dim; i++) part.rows[i] = (part.rows[i] as number) * scale; // within the part
      part.penalties[row] = 0;
    },
    clear: (slot) => {
      const part = changedPart(slot);
      part.penalties[slot - part.first] = FREE;
    },
  };
}

/**
 * The part as input of a graph, uploaded anew where it has changed.
 * @param upload graph that copies its inputs into the provider's memory; null: the inputs are copied with each run
 */
export async function tensorsOf(part: Part, dim: number, upload: InferenceSession | null): Promise<PartTensors> {
  if (part.uploaded !== null && !part.hasChanged) return part.uploaded;
  part.hasChanged = false; // a change from here on is in the next upload
  const size = part.penalties.length;
  const fed = { table: new Tensor('float32', part.rows, [size, dim]), penalties: new Tensor('float32', part.penalties, [size]) };
  if (upload === null) return fed;
  const uploading = upload.run({ ...fed });
  uploading.catch(() => (part.hasChanged = true));
  const { kept_table: rows, kept_penalties: penalties } = await uploading;
  disposeOf(part);
  part.uploaded = { table: rows as Tensor, penalties: penalties as Tensor }; // the graph's two outputs
  return part.uploaded;
}

/** Frees the copy in the provider's memory. */
export function disposeOf({ uploaded }: Part): void {
  uploaded?.table.dispose();
  uploaded?.penalties.dispose();
}
