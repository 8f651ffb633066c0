import { createSlotSet } from './slot-set.js';
import type { VectorTable } from './vector-table.js';

const LEVELS = 127;
const OFFSET = 128;
/** The scale fits values 1.25 times as large as the largest so far, before all rows must be rounded again. */
const HEADROOM = 1.25;
/**
 * A row is an outlier when its largest value is more than 4 times the 95th percentile of all rows' largest values. A single such row
 * would leave the others hardly any levels.
 */
const OUTLIER_FACTOR = 4;
const TAIL = 0.05;
/** New outliers since the scale was chosen that make it be chosen again. */
const MAX_NEW_OUTLIERS = 64;
const FIRST_ROWS = 1024;

/**
 * Vectors in 8 bits, round(127 x / scale) + 128, one row a slot. All rows share one scale, so that products can be compared.
 * Scalar quantisation, with outliers in full precision as in LLM.int8() (Dettmers et al., arXiv 2208.07339), there of columns.
 */
export interface RoundedRows {
  /** Slots that were added and not removed. */
  readonly size: number;
  /** Ascending. */
  slots(): Int32Array;
  /** Whether the slot's row holds its vector; false for outliers and free slots. */
  isRounded(slot: number): boolean;
  /** Number of rows, a multiple of the group size. A free row holds the values of its last slot. */
  readonly used: number;
  /** Number of rows that the memory is large enough for. */
  readonly capacity: number;
  /** [used, d] */
  values(): Uint8Array;
  /** Slots with values beyond the scale. Their rows are all zero; they must be scored separately. */
  readonly outliers: ReadonlySet<number>;
  /** Rounds the slot's current vector. */
  add(slot: number): void;
  remove(slot: number): void;
}

/** @param group group size: `used` is a multiple of it */
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
  /** The scale is chosen again at this number of slots, or of outliers. */
  let nextSize = 1;
  let nextOutliers = MAX_NEW_OUTLIERS;

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
  const roundRow = (slot: number): void => {
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
  const chooseScale = (): void => {
    const slots = live.slots();
    const sorted = Float32Array.from(slots, (slot) => peaks[slot] as number).sort();
    const tail = Math.floor(TAIL * slots.length);
    const limit = OUTLIER_FACTOR * (sorted[slots.length - 1 - tail] as number); // tail < length
    const largest = sorted.findLast((peak) => peak <= limit) ?? 0;
    scale = largest * HEADROOM;
    outliers.clear();
    for (const slot of slots) roundRow(slot);
    nextSize = 2 * slots.length;
    nextOutliers = outliers.size + MAX_NEW_OUTLIERS;
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
      roundRow(slot);
      if (live.size >= nextSize || outliers.size >= nextOutliers) chooseScale();
    },
    remove: (slot) => {
      live.delete(slot);
      rounded.delete(slot);
      outliers.delete(slot);
    },
  };
}
