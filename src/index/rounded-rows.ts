import { createSlotSet } from './slot-set.js';
import type { VectorTable } from './vector-table.js';

const LEVELS = 127;
const OFFSET = 128;
/** Room for larger values than any so far, before rows have to be rounded anew. */
const HEADROOM = 1.25;
/** Rows are set apart whose largest value is so many times that of the row ... */
const FAR = 4;
/** ... that this share of all exceed: a single one would leave the others hardly any levels. */
const TAIL = 0.05;
/** Set apart since the scale was chosen, before it is chosen anew. */
const FEW_OUTLIERS = 64;
const FIRST_ROWS = 1024;

/**
 * Vectors in 8 bits, round(127 x / scale) + 128, row by row: one scale for all, so that products compare.
 * Scalar quantisation, with outliers in full precision as in LLM.int8() (Dettmers et al., arXiv 2208.07339), there of columns.
 */
export interface RoundedRows {
  /** Slots that were added and not removed. */
  readonly size: number;
  /** Rising. */
  slots(): Int32Array;
  /** Whether the slot's row holds its vector. */
  isRounded(slot: number): boolean;
  /** Rows that there are, a multiple of the group's size; a free one holds whatever stood there last. */
  readonly used: number;
  /** Rows that there is memory for. */
  readonly capacity: number;
  /** [used, d] */
  values(): Uint8Array;
  /** Slots whose values the scale has no room for: their rows are all zero, who wants them has to score them apart. */
  readonly outliers: ReadonlySet<number>;
  /** Rounds the slot's current vector. */
  add(slot: number): void;
  remove(slot: number): void;
}

/** @param group what `used` is a multiple of */
export function createRoundedRows(table: VectorTable, group: number): RoundedRows {
  const { dim } = table;
  const live = createSlotSet();
  const rounded = createSlotSet();
  const outliers = new Set<number>();
  const vector = new Float32Array(dim);
  let rows = new Uint8Array(FIRST_ROWS * dim);
  /** The largest magnitude in each row. */
  let peaks = new Float32Array(FIRST_ROWS);
  let used = 0;
  let scale = 0;
  /** The scale is chosen anew when there are so many slots, or outliers. */
  let nextSize = 1;
  let nextOutliers = FEW_OUTLIERS;

  const reserve = (slot: number): void => {
    used = Math.max(used, Math.ceil((slot + 1) / group) * group);
    if (used <= peaks.length) return;
    const capacity = Math.max(used, peaks.length * 2);
    const [grownRows, grownPeaks] = [new Uint8Array(capacity * dim), new Float32Array(capacity)];
    grownRows.set(rows);
    grownPeaks.set(peaks);
    [rows, peaks] = [grownRows, grownPeaks];
  };
  const peakOf = (slot: number): number => {
    table.copy(slot, vector, 0);
    let peak = 0;
    for (let i = 0; i < dim; i++) peak = Math.max(peak, Math.abs(vector[i] as number)); // i < d
    return peak * table.scale(slot);
  };
  const place = (slot: number): void => {
    const first = slot * dim;
    if ((peaks[slot] as number) > scale) {
      outliers.add(slot);
      rounded.delete(slot);
      rows.fill(OFFSET, first, first + dim);
      return;
    }
    outliers.delete(slot);
    rounded.add(slot);
    table.copy(slot, vector, 0);
    const factor = scale === 0 ? 0 : (LEVELS * table.scale(slot)) / scale;
    for (let i = 0; i < dim; i++) rows[first + i] = Math.round((vector[i] as number) * factor) + OFFSET; // i < d
  };
  const fit = (): void => {
    const slots = live.slots();
    const sorted = Float32Array.from(slots, (slot) => peaks[slot] as number).sort();
    const tail = Math.floor(TAIL * slots.length);
    const limit = FAR * (sorted[slots.length - 1 - tail] as number); // tail < length
    const largest = sorted.findLast((peak) => peak <= limit) ?? 0;
    scale = largest * HEADROOM;
    outliers.clear();
    for (const slot of slots) place(slot);
    nextSize = 2 * slots.length;
    nextOutliers = outliers.size + FEW_OUTLIERS;
  };

  return {
    get size() {
      return live.size;
    },
    slots: live.slots,
    isRounded: rounded.has,
    get used() {
      return used;
    },
    get capacity() {
      return peaks.length;
    },
    values: () => rows.subarray(0, used * dim),
    outliers,
    add: (slot) => {
      live.add(slot);
      reserve(slot);
      peaks[slot] = peakOf(slot);
      place(slot);
      if (live.size >= nextSize || outliers.size >= nextOutliers) fit();
    },
    remove: (slot) => {
      live.delete(slot);
      rounded.delete(slot);
      outliers.delete(slot);
    },
  };
}
