import { createItemInterner } from '../../src/domain/item-interner.js';
import { systemClock } from '../../src/clock.js';
import { createEmbeddedRetrieval } from '../../src/retrieval/embedded/embedded-retrieval.js';
import { MAX_HISTORY, retrievalConformance, TEMPERATURE, type RetrievalEngine } from './conformance/retrieval.js';
import { createInThreadPool } from './in-thread-pool.js';
import { createMemoryRetrieval } from './memory-retrieval.js';

const embedded = (reach?: number): RetrievalEngine['open'] => {
  const graph = reach === undefined ? {} : { reach };
  return (similarity) => {
    const { pool } = createInThreadPool({ dim: 2, similarity, ...graph });
    const manifest = { dim: 2, similarity, variant: 'dff', temperature: TEMPERATURE, max_history: MAX_HISTORY } as const;
    return createEmbeddedRetrieval({ manifest, pool, interner: createItemInterner(), clock: systemClock });
  };
};

const ENGINES: RetrievalEngine[] = [
  { name: 'embedded', open: embedded() },
  { name: 'embedded, with a graph that loses its way', open: embedded(6) },
  {
    name: 'memory',
    open: (similarity) =>
      createMemoryRetrieval({ dim: 2, similarity, temperature: TEMPERATURE, maxHistory: MAX_HISTORY, interner: createItemInterner() }),
  },
];

for (const engine of ENGINES) retrievalConformance(engine);
