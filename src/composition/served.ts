import type { Logger } from 'pino';
import type { Metrics } from '../metrics.js';
import type { ServedLog } from '../store/served-log.js';
import { hourly } from './background.js';

const DAY_MS = 24 * 3_600_000;

export interface ServedSetup {
  /** See retention-time.ts. */
  time: () => Promise<number>;
  metrics: Pick<Metrics, 'servedLogErrors'>;
  log: Logger;
  onError: (error: unknown) => void;
}

/** Opens the served log and expires its old entries every hour. Null: no answers are kept. @param days of retention */
export function keepServed(
  days: number,
  open: (onError: (error: unknown) => void) => ServedLog,
  { time, metrics, log, onError }: ServedSetup,
): ServedLog | null {
  if (days === 0) return null;
  const told = (what: string) => (error: unknown) => {
    metrics.servedLogErrors.inc();
    onError(error);
    log.error({ err: error }, what);
  };
  const served = open(told('answers could not be kept'));
  const stop = hourly(async () => {
    try {
      await served.expire((await time()) - days * DAY_MS);
    } catch (error) {
      told('old answers could not be removed')(error);
    }
  });
  return {
    ...served,
    close: async () => {
      await stop();
      await served.close();
    },
  };
}
