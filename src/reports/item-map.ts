import { setImmediate as nextTurn } from 'node:timers/promises';
import { isServable, type CatalogueItem } from '../retrieval/embedded/catalogue.js';
import type { Generation } from '../generations/generation.js';
import { principalAxes, type Axes } from './principal-axes.js';

/** Items that a map shows; more would hide each other. */
const SAMPLE = 1500;
/** Slots looked at between two turns of the event loop. */
const SLICE = 4096;
/** A map is made anew when the catalogue has changed by this share of its size: the axes were another catalogue's. */
const TOLERATED_CHANGE = 0.5;

export interface Place {
  x: number;
  y: number;
}

/** A catalogue on a plane: the two directions in which the fused vectors of a sample of it differ most. */
export interface ItemMap {
  readonly madeAt: number;
  /** Share of the sample's variance along each axis. */
  readonly variance: readonly [number, number];
  /** Those of the sample that can be served now, where their vectors are now. */
  sample(now: number): (Place & { item: CatalogueItem })[];
  /** Null: the item has no vector. */
  place(item: CatalogueItem): Place | null;
}

/** Keeps one map a generation. Making one takes slices of the request thread, each of about a millisecond. */
export interface ItemMaps {
  of(generation: Generation): Promise<ItemMap>;
}

export function createItemMaps(): ItemMaps {
  const known = new WeakMap<Generation, { indexed: number; map: Promise<ItemMap> }>();
  return {
    of: (generation) => {
      const { indexed } = generation.catalogue;
      const kept = known.get(generation);
      if (kept !== undefined && Math.abs(indexed - kept.indexed) <= kept.indexed * TOLERATED_CHANGE) return kept.map;
      const made = { indexed, map: generation.use(() => makeMap(generation)) };
      known.set(generation, made);
      made.map.catch(() => {
        if (known.get(generation) === made) known.delete(generation); // the next request tries again
      });
      return made.map;
    },
  };
}

async function makeMap({ catalogue }: Generation): Promise<ItemMap> {
  const now = Date.now();
  const items = await drawSample(catalogue, now);
  const { table } = catalogue;
  const vectors = new Float32Array(items.length * table.dim);
  items.forEach(({ slot }, row) => {
    if (slot === null) return; // cannot be: it was found by its slot
    const scale = table.scale(slot);
    table.vector(slot).forEach((value, i) => (vectors[row * table.dim + i] = value * scale));
  });
  const axes = await principalAxes(vectors, table.dim);
  const place = ({ slot }: CatalogueItem): Place | null => (slot === null ? null : project(axes, table.vector(slot), table.scale(slot)));
  /** With the slot that it was computed from: a changed vector has another. */
  const places = new Map(items.map((item) => [item.fields.item_id, { slot: item.slot, at: place(item) }]));
  return {
    madeAt: now,
    variance: axes.variance,
    sample: (time) => {
      const shown: (Place & { item: CatalogueItem })[] = [];
      for (const [itemId, known] of places) {
        const item = catalogue.get(itemId);
        if (item === undefined || !isServable(item, time)) continue;
        if (item.slot !== known.slot) places.set(itemId, { slot: item.slot, at: place(item) });
        const at = places.get(itemId)?.at ?? null;
        if (at !== null) shown.push({ item, ...at });
      }
      return shown;
    },
    place,
  };
}

/** The first servable item of each stretch of slots, so that old and new items have their share. */
async function drawSample(catalogue: Generation['catalogue'], now: number): Promise<CatalogueItem[]> {
  const drawn: CatalogueItem[] = [];
  const stride = Math.max(1, catalogue.slots / SAMPLE);
  let looked = 0;
  for (let start = 0; start < catalogue.slots; start += stride) {
    for (let slot = Math.floor(start); slot < Math.floor(start + stride); slot++) {
      if (++looked % SLICE === 0) await nextTurn();
      const item = catalogue.atSlot(slot);
      if (item === undefined || !isServable(item, now)) continue;
      drawn.push(item);
      break;
    }
  }
  // some may have left meanwhile
  return drawn.filter((item) => item.slot !== null && catalogue.atSlot(item.slot) === item);
}

function project({ mean, x, y }: Axes, vector: Float32Array, scale: number): Place {
  const place = { x: 0, y: 0 };
  vector.forEach((value, i) => {
    const moved = value * scale - (mean[i] as number); // mean, x and y have d values too
    place.x += moved * (x[i] as number);
    place.y += moved * (y[i] as number);
  });
  return place;
}
