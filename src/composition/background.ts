import type { Logger } from 'pino';
import type { Erasure } from '../ingest/erasure.js';

/** Stops a task that is repeated, and waits for its end. */
export type Stop = () => Promise<void>;

const RETENTION_CHECK_MS = 3600_000;

/** Runs the task once in each interval, never twice at once; 0 ms: never. */
export function repeat(task: () => Promise<void>, milliseconds: number): Stop {
  if (milliseconds === 0) return async () => {};
  let running = Promise.resolve();
  const timer = setInterval(() => {
    running = running.then(task);
  }, milliseconds);
  return async () => {
    clearInterval(timer);
    await running;
  };
}

/** Now and every hour. */
export function hourly(task: () => Promise<void>): Stop {
  const first = task();
  const stop = repeat(task, RETENTION_CHECK_MS);
  return async () => {
    await stop();
    await first;
  };
}

/** Expires events of more than these days; 0: none. */
export function keepRetention(erasure: Erasure, days: number, log: Logger): Stop {
  if (days === 0) return async () => {};
  return hourly(async () => {
    try {
      const events = await erasure.expireEvents(days, Date.now());
      if (events > 0) log.info({ events, days }, 'expired old events');
    } catch (error) {
      log.error({ err: error }, 'old events could not be expired');
    }
  });
}
