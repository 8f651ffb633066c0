import { isServable, type Item } from '../../domain/item.js';
import type { ItemInterner } from '../../domain/item-interner.js';
import type { Clock } from '../../clock.js';
import type { Manifest } from '../../model/manifest.js';
import type { RecommenderPool } from '../../model/recommender-pool.js';
import type { Catalogue } from '../catalogue.js';
import type { Query, Retrieval } from '../retrieval.js';
import type { EmbeddedItem } from './embedded-item.js';
import { createItemTable, type ItemTable } from './item-table.js';
import { randomItem, sampleItems } from './sample.js';
import { createGenerationImage, type GenerationImage } from './generation-image.js';
import { openStream } from './stream.js';

/** Vectors, index and fields of all items in this process's memory; searches run in the recommender threads. */
export interface EmbeddedRetrieval {
  retrieval: Retrieval;
  catalogue: Catalogue;
  /** The generation as snapshots read and fill it. */
  image: GenerationImage;
  table: ItemTable;
}

export interface EmbeddedRetrievalSetup {
  manifest: Pick<Manifest, 'dim' | 'similarity' | 'variant' | 'temperature' | 'max_history'>;
  pool: Pick<RecommenderPool, 'search' | 'update' | 'grow' | 'save' | 'load' | 'close'>;
  interner: ItemInterner;
  clock: Clock;
}

export function createEmbeddedRetrieval({ manifest, pool, interner, clock }: EmbeddedRetrievalSetup): EmbeddedRetrieval {
  const { dim, similarity, variant, temperature, max_history: maxHistory } = manifest;
  const table = createItemTable({ dim, normalised: similarity === 'cosine', takesFeatures: variant !== 'id', replicas: pool, interner, clock });
  const { slots, membership, totals } = table;
  const retrieval: Retrieval = {
    search: (query, rules, count) => {
      const history = query.similarTo === null ? embeddable(table, query, maxHistory) : [];
      if (query.similarTo === null ? history.length === 0 : slots.slotOf(query.similarTo) < 0) return NOTHING;
      const task = {
        slots,
        filters: membership.filters,
        clock,
        pool,
        query,
        rules,
        history,
        temperature: query.similarTo === null ? temperature : 1,
      };
      return openStream(task, count);
    },
    hydrate: async (named) => {
      const items: (EmbeddedItem | undefined)[] = [];
      for (const { index } of named) items.push(table.get(index));
      readAhead(items);
      return items;
    },
    find: async (itemIds) => itemIds.map((itemId) => table.find(itemId)),
    vectors: async (items) => vectorsOf(table, items),
    apply: (changes) => table.apply(changes),
    close: async () => {
      table.close();
      await pool.close();
    },
  };
  const catalogue: Catalogue = {
    status: async () => ({ size: table.size, states: totals.states(), findable: membership.findable, deadNodes: membership.deadNodes }),
    countUnavailable: (now) => totals.countUnavailable(now),
    countWith: totals.countWith,
    sample: (count, now) => sampleItems(slots, count, (item) => isServable(item, now)),
    random: async () => randomItem(slots),
    all: {
      get size() {
        return table.size;
      },
      items: () => table.items(),
    },
  };
  return { retrieval, catalogue, image: createGenerationImage(table, pool, interner), table };
}

const NOTHING = Promise.resolve(null);

/** Indexes of the newest history items that have a vector, oldest first. */
function embeddable({ slots }: ItemTable, { history }: Query, maxHistory: number): number[] {
  const newest: number[] = [];
  for (let n = 0; n < history.length && newest.length < maxHistory; n++) {
    const index = history[n] as number; // n < length
    if (slots.slotOf(index) >= 0) newest.push(index);
  }
  return newest.reverse();
}

/** Maximum items of a page. With more, the first ones would leave the caches before they are used. */
const MAX_READ_AHEAD = 500;
const read = new Float64Array(1);

/**
 * Reads items ahead into the CPU caches: 7,892 → 8,771 requests/s at 32 connections (bench/LOG.md, 943ff59). Their parts are scattered
 * over the heap. Independent reads overlap; without them each candidate would wait for each of its parts.
 */
function readAhead(items: readonly (EmbeddedItem | undefined)[]): void {
  const end = Math.min(items.length, MAX_READ_AHEAD);
  let sum = 0;
  for (let n = 0; n < end; n++) sum += items[n]?.index ?? 0;
  for (let n = 0; n < end; n++) sum += items[n]?.fields.hidden === true ? 1 : 0;
  for (let n = 0; n < end; n++) sum += items[n]?.fields.item_id.length ?? 0;
  read[0] = sum; // the compiler would remove reads without a use
}

function vectorsOf({ slots }: ItemTable, items: readonly Item[]): Float32Array {
  const { dim } = slots.table;
  const vectors = new Float32Array(items.length * dim);
  items.forEach(({ index }, row) => {
    const slot = slots.slotOf(index);
    if (slot < 0) return;
    const scale = slots.table.scale(slot);
    const vector = slots.table.vector(slot);
    for (let i = 0; i < dim; i++) vectors[row * dim + i] = (vector[i] as number) * scale; // i < d
  });
  return vectors;
}
