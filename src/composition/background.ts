import type { Logger } from 'pino';
import type { Erasure } from '../ingest/erasure.js';

/** Stops a repeated task and waits for its end. */
export type Stop = () => Promise<void>;

const RETENTION_CHECK_MS = 3600_000;

/** Runs the task once in each interval, one run at a time; 0 ms: never. */
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

/** Runs the task now and every hour. */
export function hourly(task: () => Promise<void>): Stop {
  const first = task();
  const stop = repeat(task, RETENTION_CHECK_MS);
  return async () => {
    await stop();
    await first;
  };
}

/** Expires events older than `days` every hour; 0: never. @param time see retention-time.ts */
export function keepRetention(erasure: Erasure, days: number, time: () => Promise<number>, log: Logger): Stop {
  if (days === 0) return async () => {};
  return hourly(async () => {
    try {
      const events = await erasure.expireEvents(days, await time());
      if (events > 0) log.info({ events, days }, 'expired old events');
    } catch (error) {
      log.error({ err: error }, 'old events could not be expired');
    }
  });
}
