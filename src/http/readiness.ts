import { ReelfuseError } from '../errors.js';

export interface Readiness {
  /** False while the catalogue is loading. */
  isReady(): boolean;
}

/** @throws ReelfuseError 503 `starting` */
export function requireReady(readiness: Readiness): void {
  if (!readiness.isReady()) throw new ReelfuseError(503, 'starting', 'the catalogue is still loading', { retryAfter: 1 });
}
