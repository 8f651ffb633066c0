import type { Item } from '../domain/item.js';
import type { Catalogue } from '../retrieval/catalogue.js';
import type { Retrieval } from '../retrieval/retrieval.js';
import { principalAxes, type Axes } from './principal-axes.js';

/** Maximum items of a map; more would hide each other. */
const SAMPLE = 1500;
/** Relative change of the catalogue's size after which a map is computed again. */
const TOLERATED_CHANGE = 0.5;

export interface MapPoint {
  item: Item;
  x: number;
  y: number;
}

/** A catalogue on a plane: the first two principal components of the fused vectors of a sample. */
export interface ItemMap {
  readonly madeAt: number;
  /** Share of the sample's variance along each axis. */
  readonly variance: readonly [number, number];
  /** Points of the sample, by present vectors; deleted items are left out. */
  sample(): Promise<MapPoint[]>;
  /** Points of items; those without a vector are left out. */
  pointsOf(items: readonly Item[]): Promise<MapPoint[]>;
}

/** What a map needs of a generation. */
export interface MapSource {
  retrieval: Pick<Retrieval, 'hydrate' | 'vectors'>;
  catalogue: Pick<Catalogue, 'sample' | 'status'>;
  lease<Value>(task: () => Promise<Value>): Promise<Value>;
}

/** Keeps one map for each generation. Computing one runs in slices of about a millisecond on the request thread. */
export interface ItemMaps {
  of(source: MapSource): Promise<ItemMap>;
}

export function createItemMaps(): ItemMaps {
  const known = new WeakMap<MapSource['retrieval'], { findable: number; map: Promise<ItemMap> }>();
  return {
    of: async (source) => {
      const { findable } = await source.catalogue.status();
      const kept = known.get(source.retrieval);
      if (kept !== undefined && Math.abs(findable - kept.findable) <= kept.findable * TOLERATED_CHANGE) return kept.map;
      const made = { findable, map: source.lease(() => makeMap(source)) };
      known.set(source.retrieval, made);
      made.map.catch(() => {
        if (known.get(source.retrieval) === made) known.delete(source.retrieval); // the next request tries again
      });
      return made.map;
    },
  };
}

async function makeMap({ retrieval, catalogue }: MapSource): Promise<ItemMap> {
  const madeAt = Date.now();
  const drawn = await catalogue.sample(SAMPLE, madeAt);
  const vectors = await retrieval.vectors(drawn);
  const axes = await principalAxes(vectors, dimOf(vectors, drawn));
  const pointsOf = async (items: readonly Item[]): Promise<MapPoint[]> => {
    const rows = await retrieval.vectors(items);
    const dim = dimOf(rows, items);
    return items.flatMap((item, row) => {
      const vector = rows.subarray(row * dim, (row + 1) * dim);
      return vector.every((value) => value === 0) ? [] : [{ item, ...project(axes, vector) }];
    });
  };
  return {
    madeAt,
    variance: axes.variance,
    sample: async () => pointsOf((await retrieval.hydrate(drawn)).filter((item) => item !== undefined)),
    pointsOf,
  };
}

const dimOf = (vectors: Float32Array, items: readonly Item[]): number => vectors.length / Math.max(items.length, 1);

function project({ mean, x, y }: Axes, vector: Float32Array): { x: number; y: number } {
  const point = { x: 0, y: 0 };
  vector.forEach((value, i) => {
    const moved = value - (mean[i] as number); // mean, x and y have d values too
    point.x += moved * (x[i] as number);
    point.y += moved * (y[i] as number);
  });
  return point;
}
