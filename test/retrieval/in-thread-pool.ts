import { createExactIndex } from '../../src/index/exact.js';
import { searchAllowed } from '../../src/index/filtered.js';
import { createVectorTable, type VectorTable } from '../../src/index/vector-table.js';
import type { Neighbours } from '../../src/index/ann-index.js';
import type { Searched } from '../../src/model/recommender-pool.js';
import type { SearchJob, SearchVectors } from '../../src/model/search-messages.js';
import type { EmbeddedRetrievalSetup } from '../../src/retrieval/embedded/embedded-retrieval.js';
import { moveAway, scaled, sumTower, type Tower } from './tower.js';

export interface InThreadPoolOptions {
  dim: number;
  similarity: 'dot' | 'cosine';
  tower?: Tower;
  /** How many the graph finds at most; the others are lost to it. */
  reach?: number;
}

export interface InThreadPool {
  pool: EmbeddedRetrievalSetup['pool'];
  /** What the recommenders were asked for. */
  searches: SearchJob[];
}

/** Recommenders without a thread and without a model: the graph is an exact index of limited reach. */
export function createInThreadPool({ dim, similarity, tower = sumTower, reach = Infinity }: InThreadPoolOptions): InThreadPool {
  const searches: SearchJob[] = [];
  const table = createVectorTable(dim);
  const exact = createExactIndex(table);
  const find = ({ options }: SearchJob, query: Float32Array, count: number): Neighbours =>
    options?.allowed != null
      ? searchAllowed(exact, table, options.allowed, query, count, Infinity)
      : exact.search(query, options?.exact === true ? count : Math.min(count, reach));
  const search = async (prepare: () => SearchJob | null): Promise<Searched | null> => {
    const job = prepare();
    if (job === null) return null;
    searches.push(job);
    const { options } = job;
    const vectors = embed(job, { table, similarity, tower });
    const excluded = job.excludesHistory ? Array.from(job.history) : [];
    const batch = without(find(job, vectors.user, job.count + excluded.length), excluded, job.count);
    const answered = { user: options?.wantsUser === true ? vectors.user : null, without: vectors.without };
    return { batch, first: 0, count: batch.slots.length, vectors: answered, queueMs: 0, towerMs: 0, searchMs: 0 };
  };
  const pool: InThreadPool['pool'] = {
    grow: async (chunk) => table.attach(chunk),
    update: async ({ add, remove }) => {
      for (const slot of remove) exact.remove(slot);
      for (const slot of add) exact.add(slot);
    },
    search,
    save: async () => Int32Array.of(),
    load: async () => Int32Array.of(),
    close: async () => undefined,
  };
  return { pool, searches };
}

interface Embedding {
  table: VectorTable;
  similarity: 'dot' | 'cosine';
  tower: Tower;
}

/** The query, and for an explanation what it would be without each item of the history. */
function embed({ history, options }: SearchJob, { table, similarity, tower }: Embedding): SearchVectors & { user: Float32Array } {
  const watched = Array.from(history, (slot) => table.vector(slot));
  const disliked = Array.from(options?.disliked ?? [], (slot) => table.vector(slot));
  const queryOf = (vector: Float32Array): Float32Array => moveAway(scaled(vector, similarity), disliked, similarity);
  const similarTo = options?.similarTo ?? null;
  if (similarTo !== null) return { user: queryOf(table.vector(similarTo)), without: [] };
  const isExplained = options?.explain === true && watched.length > 1;
  const less = isExplained ? watched.map((_, left) => queryOf(tower(watched.filter((_, n) => n !== left)))) : [];
  return { user: queryOf(tower(watched)), without: less };
}

function without({ slots, similarities }: Neighbours, excluded: readonly number[], count: number): Neighbours {
  const ranks = Array.from(slots.keys())
    .filter((rank) => !excluded.includes(slots[rank] ?? -1))
    .slice(0, count);
  return {
    slots: Int32Array.from(ranks, (rank) => slots[rank] ?? -1),
    similarities: Float32Array.from(ranks, (rank) => similarities[rank] ?? 0),
  };
}
