import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Provider } from '../config.js';
import { packageFile } from '../package-root.js';
import type { Mutex } from '../threads/mutex.js';
import type { Neighbours, ScanIndex } from './ann-index.js';
import { nearest } from './exact.js';
import { createGpuParts, disposeOf, GROUP, tensorsOf, type Part } from './gpu-parts.js';
import { createSlotSet } from './slot-set.js';
import type { VectorTable } from './vector-table.js';

/** Candidates beyond the wanted ones: a GPU adds in another order, which may swap near neighbours. */
const MARGIN = 12;
/** The largest table that is worth copying for each batch; with a larger one the graph is cheaper. */
const MAX_FED_BYTES = 2 ** 25;

/**
 * Exact search on a GPU: one product of all rows with a batch of queries. The best rows are scored again here, so that ids and
 * similarities are those of a search on the CPU. onnxruntime-node keeps tensors on the GPU only for WebGPU; CUDA is fed the table with
 * each batch.
 * @param gpuMutex held during every call of the provider
 */
export function createGpuScanIndex(table: VectorTable, provider: Provider, gpuMutex: Mutex): ScanIndex {
  const { dim } = table;
  const isKept = provider === 'webgpu';
  const open = (file: string, options: InferenceSession.SessionOptions = {}): Promise<InferenceSession> => {
    const settings = { executionProviders: [provider], logSeverityLevel: 4 as const, ...options };
    return gpuMutex.runExclusive(() => InferenceSession.create(packageFile('models', file), settings));
  };
  const opened = Promise.all([open('scan-float32.onnx'), isKept ? open('upload.onnx', { preferredOutputLocation: 'gpu-buffer' }) : null]);
  opened.catch(() => undefined); // the first search reports it
  const live = createSlotSet();
  const { parts, set, clear } = createGpuParts(table);

  /** The best slots of this part for each query, [B, count]; all of its slots where it is too small to choose from. */
  const candidatesOf = async (part: Part, queries: Tensor, count: number): Promise<(query: number) => Int32Array> => {
    const [scan, upload] = await opened;
    const size = part.penalties.length;
    if (count > size / GROUP) {
      const all = Int32Array.from({ length: size }, (_, row) => part.first + row);
      return () => all;
    }
    const feeds = { ...(await tensorsOf(part, dim, upload)), queries, count: new Tensor('int64', BigInt64Array.of(BigInt(count)), [1]) };
    const rows = (await scan.run(feeds)).rows?.data as Int32Array;
    return (query) => rows.subarray(query * count, (query + 1) * count).map((row) => part.first + row);
  };

  return {
    get size() {
      return live.size;
    },
    add: (slot) => {
      set(slot);
      live.add(slot);
    },
    remove: (slot) => {
      if (live.delete(slot)) clear(slot);
    },
    isExact: true,
    isCheaper: () => isKept || live.size * dim * 4 <= MAX_FED_BYTES,
    search: async (queries, requests) => {
      const wanted = MARGIN + requests.reduce((largest, { count, excluded }) => Math.max(largest, count + excluded.length), 0);
      const tensor = new Tensor('float32', queries, [requests.length, dim]);
      await opened; // takes the mutex too
      const candidates = await gpuMutex.runExclusive(async () => {
        const found: ((query: number) => Int32Array)[] = [];
        for (const part of parts) found.push(await candidatesOf(part, tensor, wanted));
        return found;
      });
      return requests.map(({ count, excluded }, position): Neighbours => {
        const excludedSlots = new Set(excluded);
        const slots = candidates.flatMap((of) => [...of(position)]).filter((slot) => live.has(slot) && !excludedSlots.has(slot));
        return nearest(table, slots, queries.subarray(position * dim, (position + 1) * dim), count);
      });
    },
    close: async () => {
      const [scan, upload] = await opened;
      await gpuMutex.runExclusive(async () => {
        parts.forEach(disposeOf);
        await scan.release();
        await upload?.release();
      });
    },
  };
}
