import type { Logger } from 'pino';
import { pino } from 'pino';
import { demoFile } from '../src/generations/model-choice.js';
import { createMetrics } from '../src/metrics.js';
import { readArtifact } from '../src/model/artifact.js';
import { openSqliteStores } from '../src/store/sqlite/sqlite-stores.js';
import { createStorageHealth } from '../src/store/storage-health.js';
import type { Stores } from '../src/store/stores.js';
import { randomOf } from '../test/random.js';

const CENTRES = 200;
const SPREAD = 0.6;
/** Writes on their way to the store at once. */
const WINDOW = 4096;

export interface Vectors {
  next(): Float32Array;
  random(): number;
}

/** A mixture of Gaussians, seeded: item vectors crowd around topics, as real ones do. */
export function clusteredVectors(dim: number, seed = 1): Vectors {
  const random = randomOf(seed);
  const gauss = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const centres = Array.from({ length: CENTRES }, () => Float32Array.from({ length: dim }, gauss));
  return {
    random,
    next: () => (centres[Math.floor(random() * CENTRES)] ?? new Float32Array(dim)).map((value) => value + SPREAD * gauss()),
  };
}

export const itemId = (number: number): string => `item-${number}`;
const TOPICS = ['cooking', 'travel', 'sport', 'music', 'science', 'comedy', 'animals', 'fashion'];

/** As `fillStores`, in a data folder. */
export async function fillStore(dataDir: string, items: number, users: number, model = demoFile('artifact')): Promise<void> {
  const log: Logger = pino({ level: 'silent' });
  const metrics = createMetrics();
  const health = createStorageHealth(metrics, log, Date.now);
  const stores = openSqliteStores({ dataDir, metrics, health, onCrash: (error) => log.error(error) });
  try {
    await fillStores(stores, items, users, model);
  } finally {
    await stores.close();
  }
}

/**
 * Writes a catalogue with ready-made vectors of a model straight into the stores, where hidden states of a
 * million items would fill the disk, and a history of 50 for each user.
 */
export async function fillStores(
  stores: Pick<Stores, 'items' | 'events' | 'keyValues'>,
  items: number,
  users: number,
  model = demoFile('artifact'),
): Promise<void> {
  const { fingerprint, manifest } = await readArtifact(model);
  const vectors = clusteredVectors(manifest.dim);
  let open: Promise<unknown>[] = [];
  const pace = async (write: Promise<unknown>): Promise<void> => {
    open.push(write);
    if (open.length < WINDOW) return;
    await Promise.all(open);
    open = [];
  };
  for (let n = 0; n < items; n++) {
    const item = {
      item_id: itemId(n),
      title: `clip ${n}`,
      author_id: `author-${n % 997}`,
      attributes: { topic: TOPICS[n % TOPICS.length], duration_s: 5 + (n % 56), permille: n % 1000, rank: n },
      available_from: null,
      expires_at: null,
      hidden: false,
    };
    await pace(stores.items.put({ item, hiddenStates: null, vectors: [{ fingerprint, id_share: 0.5, vector: vectors.next() }] }));
  }
  for (let user = 0; user < users; user++) {
    const events = Array.from({ length: manifest.max_history }, (_, n) => ({
      event_id: `e-${user}-${n}`,
      user_id: `user-${user}`,
      item_id: itemId(Math.floor(vectors.random() * items)),
      type: 'view',
      at: 1_700_000_000_000 + n * 1000,
      watch_ms: null,
      duration_ms: null,
      watch_portion: null,
      recommendation_id: null,
      positive: true,
    }));
    await pace(stores.events.append(events));
  }
  await Promise.all(open);
  await stores.keyValues.set('model_dir', model);
}
