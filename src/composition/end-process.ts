import type { Logger } from 'pino';

const FAILED = 70;
/** Time for a start to end with its error, when a thread dies before the server listens. */
const START_END_MS = 5000;

/** Ends the process when an engine thread has died, so that the supervisor starts a new one. Acknowledged writes are on the disk. */
export const endProcess = (log: Logger) => (error: Error) => {
  log.fatal({ err: error }, 'an engine thread has died');
  process.exitCode = FAILED;
  // as the signal does, but without its default action, which would end the process before the start has told its error
  if (!process.emit('SIGTERM', 'SIGTERM')) setTimeout(() => process.exit(FAILED), START_END_MS).unref();
};
