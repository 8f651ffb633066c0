import { setTimeout as pause } from 'node:timers/promises';
import type { Generation } from './generation.js';

/** A step waits for the open requests, but not for ever. */
const MAX_WAIT_MS = 10;

/**
 * Requests share the cores with fusing and index building: half of the time belongs to them, and open ones go first.
 * @param serving the generation that answers requests now
 * @returns awaited before each step; rejects once the signal is given
 */
export function createPace(serving: () => Pick<Generation, 'yieldToRequests'>, signal: AbortSignal): () => Promise<void> {
  let stepped = performance.now();
  return async () => {
    await pause(performance.now() - stepped);
    await serving().yieldToRequests(MAX_WAIT_MS);
    signal.throwIfAborted();
    stepped = performance.now();
  };
}
