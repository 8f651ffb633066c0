import { setImmediate as nextTurn } from 'node:timers/promises';
import type { CapCounter } from '../domain/caps.js';
import type { Item } from '../domain/item.js';
import { dotRows } from '../index/dot.js';
import type { Retrieval } from '../retrieval/retrieval.js';

/** Comparisons in one turn of the event loop: about a millisecond at 64 dimensions. */
const SLICE = 16_384;

/** Leaves out what resembles a chosen item too much. Items without a vector resemble nothing. */
export interface NearDuplicates {
  /** The items, in order, that the caps admit and that resemble neither each other nor what was chosen before; up to `count`. */
  choose<Value extends { readonly item: Item }>(
    from: readonly Value[],
    count: number,
    caps: CapCounter | null,
    before: readonly Item[],
  ): Promise<Value[]>;
}

/** @param maxSimilarity greatest cosine of two items of one answer */
export function createNearDuplicates(retrieval: Pick<Retrieval, 'vectors'>, maxSimilarity: number): NearDuplicates {
  /** Item index → vector of length 1; null: the item has no vector. */
  const units = new Map<number, Float32Array | null>();
  const load = async (items: readonly Item[]): Promise<void> => {
    const missing = items.filter(({ index }) => !units.has(index));
    if (missing.length === 0) return;
    const vectors = await retrieval.vectors(missing);
    const dim = vectors.length / missing.length;
    missing.forEach(({ index }, row) => units.set(index, unitOf(vectors.slice(row * dim, (row + 1) * dim))));
  };
  return {
    choose: async (from, count, caps, before) => {
      await load([...before, ...from.map(({ item }) => item)]);
      const chosenUnits = before.flatMap(({ index }) => units.get(index) ?? []);
      const chosen: (typeof from)[number][] = [];
      let compared = 0;
      for (const value of from) {
        if (chosen.length === count) break;
        if (caps !== null && !caps.admits(value.item)) continue;
        const unit = units.get(value.item.index) ?? null;
        compared += chosenUnits.length;
        if (compared >= SLICE) {
          compared = 0;
          await nextTurn();
        }
        if (unit !== null && chosenUnits.some((other) => dotRows(unit, 0, other, 0, unit.length) > maxSimilarity)) continue;
        if (unit !== null) chosenUnits.push(unit);
        caps?.count(value.item);
        chosen.push(value);
      }
      return chosen;
    },
  };
}

/** Scales the vector itself. */
function unitOf(vector: Float32Array): Float32Array | null {
  const length = Math.sqrt(dotRows(vector, 0, vector, 0, vector.length));
  return length === 0 ? null : vector.map((value) => value / length);
}
