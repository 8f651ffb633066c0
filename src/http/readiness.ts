import { ReelfuseError } from '../errors.js';

/** @throws ReelfuseError 503 `starting` while the catalogue is loading */
export type RequireReady = () => void;

export const requireReadiness =
  (isReady: () => boolean): RequireReady =>
  () => {
    if (!isReady()) throw new ReelfuseError(503, 'starting', 'the catalogue is still loading', { retryAfter: 1 });
  };
