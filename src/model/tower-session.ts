import { existsSync, readdirSync } from 'node:fs';
import { InferenceSession, env, type Tensor } from 'onnxruntime-node';
import type { Provider } from '../config.js';
import { ArtifactError, messageOf } from '../errors.js';
import type { Mutex } from '../threads/mutex.js';

// `skipped` reports a provider that does not load; the engine's own error lines would look like failures
env.logLevel = 'fatal';

/** Best first; `auto` tries them in this order. */
const AUTO: Provider[] = ['cuda', 'webgpu', 'cpu'];

export interface TowerSession {
  provider: Provider;
  /** Why better providers were not taken, for the log. */
  skipped: string[];
  inputNames: readonly string[];
  run(feeds: Record<string, Tensor>): Promise<InferenceSession.ReturnType>;
  close(): Promise<void>;
}

/**
 * Without a device WebGPU would still take a driver that computes on the CPU, slower than the CPU provider, or write warnings past the
 * log. A caller that names `webgpu` gets it all the same.
 */
const hasGpuDevice = (): boolean =>
  process.platform !== 'linux' ||
  (existsSync('/dev/dri') && readdirSync('/dev/dri').some((name) => name.startsWith('renderD'))) ||
  ['/dev/nvidia0', '/dev/dxg'].some(existsSync);

/** The engine's message without the position in its sources. */
const reasonOf = (error: unknown): string => (messageOf(error).split('\n')[0] ?? '').replace(/^.* was false\. /, '');

const NO_MUTEX: Mutex = { runExclusive: (task) => task() };

/**
 * Loads one tower on the first provider that accepts it. Runs on the calling thread: only workers may call this.
 * @param gpuMutex held during every call of WebGPU
 * @throws ArtifactError when no provider of the list loads it, or only the CPU does and a GPU is required
 */
export async function openTower(path: string, wanted: 'auto' | Provider[], requireGpu: boolean, gpuMutex: Mutex): Promise<TowerSession> {
  const skipped: string[] = [];
  for (const provider of wanted === 'auto' ? AUTO : wanted) {
    if (provider === 'cpu' && requireGpu) {
      skipped.push('cpu: refused by REELFUSE_REQUIRE_GPU');
      continue;
    }
    if (provider === 'webgpu' && wanted === 'auto' && !hasGpuDevice()) {
      skipped.push('webgpu: there is no GPU device in /dev');
      continue;
    }
    const { runExclusive } = provider === 'webgpu' ? gpuMutex : NO_MUTEX;
    try {
      const session = await runExclusive(() =>
        InferenceSession.create(path, {
          executionProviders: [provider],
          intraOpNumThreads: 1, // parallelism comes from the workers
          interOpNumThreads: 1,
          graphOptimizationLevel: 'all',
          logSeverityLevel: 4,
        }),
      );
      const { inputNames } = session;
      return {
        provider,
        skipped,
        inputNames,
        run: (feeds) => runExclusive(() => session.run(feeds)),
        close: () => runExclusive(() => session.release()),
      };
    } catch (error) {
      skipped.push(`${provider}: ${reasonOf(error)}`);
    }
  }
  throw new ArtifactError(`${path} loads on none of the execution providers: ${skipped.join('; ')}`);
}
