import { setTimeout as pause } from 'node:timers/promises';
import { stateOf } from '../domain/item.js';
import type { Provider } from '../config.js';
import type { ItemStatus } from '../ingest/acknowledgement.js';
import type { Indexer } from '../ingest/indexer.js';
import type { Artifact } from '../model/artifact.js';
import type { Fuser } from '../model/fuser.js';
import type { Catalogue } from '../retrieval/catalogue.js';
import type { Retrieval } from '../retrieval/retrieval.js';
import { createInFlight, type InFlight } from './in-flight.js';

/** What a generation consists of. */
export interface GenerationParts {
  readonly artifact: Artifact;
  readonly fuser: Fuser;
  readonly retrieval: Retrieval;
  readonly catalogue: Catalogue;
  /** Keeps the retrieval up to date. */
  readonly indexer: Indexer;
  /** What the user tower runs on. */
  readonly userTower: { readonly provider: Provider; readonly precision: string };
}

/** One model's towers and retrieval, complete and queryable: a request is answered by exactly one. */
export interface Generation extends GenerationParts {
  /** Recall@20 of the first self-checks since the index was built. Later self-checks are compared with them, after restarts too. */
  firstRecalls: number[];
  /** Runs a task; the generation stays open until it ends. Call it in the same turn of the event loop in which the generation was chosen. */
  lease<Value>(task: () => Promise<Value>): Promise<Value>;
  /** Resolves when the tasks that lease the generation now have ended, or after this time. */
  yieldToRequests(milliseconds: number): Promise<void>;
  /** Resolves when no task leases the generation and its parts are closed. */
  close(): Promise<void>;
}

/** Adds leases to the parts of a generation. */
export function createGeneration(parts: GenerationParts): Generation {
  let leases = createInFlight();
  let earlier: InFlight[] = [];
  return {
    ...parts,
    firstRecalls: [],
    lease: (task) => leases.add(task()),
    yieldToRequests: async (milliseconds) => {
      earlier = [...earlier, leases].filter(({ isOver }) => !isOver());
      leases = createInFlight();
      if (earlier.length === 0) return;
      const ended = new AbortController();
      await Promise.race([endOf(earlier), pause(milliseconds, null, { signal: ended.signal }).catch(() => undefined)]);
      ended.abort();
    },
    close: async () => {
      const all = (): InFlight[] => [...earlier, leases];
      while (all().some(({ isOver }) => !isOver())) await endOf(all());
      await parts.indexer.close();
      await Promise.all([parts.retrieval.close(), parts.fuser.close()]);
    },
  };
}

const endOf = (leases: readonly InFlight[]): Promise<unknown> => Promise.all(leases.map((some) => some.ended()));

/** States of items in this generation, in the order of the ids. An item that the generation does not know is `stored`. */
export async function describeItems(
  { artifact, retrieval }: Pick<Generation, 'artifact' | 'retrieval'>,
  itemIds: readonly string[],
): Promise<ItemStatus[]> {
  const { fingerprint, manifest } = artifact;
  const model = { fingerprint, version: manifest.version };
  const items = await retrieval.find(itemIds);
  return items.map((item) => {
    if (item === undefined) return { state: 'stored', hasVector: false, model };
    const hasVector = item.idShare !== null;
    return { state: stateOf(item.fields, hasVector, manifest.variant !== 'id'), hasVector, model };
  });
}
