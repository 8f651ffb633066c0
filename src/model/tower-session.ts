import { InferenceSession, env } from 'onnxruntime-node';
import type { Provider } from '../config.js';
import { ArtifactError, messageOf } from '../errors.js';

// a provider that does not load is reported by us; the engine's own error lines would look like failures
env.logLevel = 'fatal';

/** Best first; `auto` tries them in this order. */
const AUTO: Provider[] = ['cuda', 'webgpu', 'cpu'];

export interface TowerSession {
  session: InferenceSession;
  provider: Provider;
  /** Why better providers were passed over, for the log. */
  skipped: string[];
}

/**
 * Loads one tower on the first provider that accepts it. Runs on the calling thread: only workers may call this.
 * @throws ArtifactError when no provider of the list loads it, or only the CPU does and a GPU is required
 */
export async function openTower(path: string, wanted: 'auto' | Provider[], requireGpu: boolean): Promise<TowerSession> {
  const skipped: string[] = [];
  for (const provider of wanted === 'auto' ? AUTO : wanted) {
    if (provider === 'cpu' && requireGpu) {
      skipped.push('cpu: refused by REELFUSE_REQUIRE_GPU');
      continue;
    }
    try {
      const session = await InferenceSession.create(path, {
        executionProviders: [provider],
        intraOpNumThreads: 1, // parallelism comes from the workers
        interOpNumThreads: 1,
        graphOptimizationLevel: 'all',
        logSeverityLevel: 4,
      });
      return { session, provider, skipped };
    } catch (error) {
      skipped.push(`${provider}: ${messageOf(error).split('\n')[0]}`);
    }
  }
  throw new ArtifactError(`${path} loads on none of the execution providers: ${skipped.join('; ')}`);
}
