import { isatty } from 'node:tty';
import { EXIT } from './exit-codes.js';

export type StopSignal = 'SIGTERM' | 'SIGINT' | 'SIGHUP';

/** npm, a terminal and a supervisor may each pass the same signal on: within this time it counts as one. */
const REPEAT_MS = 1000;

const EXIT_CODES: Record<StopSignal, number> = { SIGTERM: EXIT.terminated, SIGINT: EXIT.interrupted, SIGHUP: EXIT.hungUp };

/** Whether a terminal can hang up: a service and a program under nohup have none. */
const hasTerminal = (): boolean => [0, 1, 2].some((descriptor) => isatty(descriptor));

export interface Signals {
  /** The first signal that asks the server to stop. */
  readonly stopped: Promise<StopSignal>;
  /** Aborted by that signal. */
  readonly abort: AbortSignal;
}

/**
 * Takes SIGTERM, SIGINT and, from a terminal, SIGHUP. After the first one, and the time in which it may be repeated, the next one has
 * its default action again: it ends the process at once, whatever its threads do.
 */
export function takeSignals(): Signals {
  const abort = new AbortController();
  const names: StopSignal[] = hasTerminal() ? ['SIGTERM', 'SIGINT', 'SIGHUP'] : ['SIGTERM', 'SIGINT'];
  const stopped = new Promise<StopSignal>((resolve) => {
    const onSignal = (name: StopSignal): void => {
      if (abort.signal.aborted) return;
      abort.abort(new Error(`stopped by ${name}`));
      resolve(name);
      setTimeout(() => {
        for (const each of names) process.off(each, onSignal);
        for (const each of names) if (process.pid === 1) process.on(each, endNow); // the first process of a container has no default action
      }, REPEAT_MS).unref();
    };
    for (const name of names) process.on(name, onSignal);
  });
  return { stopped, abort: abort.signal };
}

export const exitCodeOf = (name: StopSignal): number => EXIT_CODES[name];

const endNow = (name: StopSignal): never => process.exit(EXIT_CODES[name]);

/** Ends the process by the signal's default action, also while a thread is in native code, which `process.exit` would wait for. */
export function endBy(name: StopSignal): void {
  process.removeAllListeners(name);
  if (process.pid === 1) endNow(name);
  process.kill(process.pid, name);
}

/** Without a terminal SIGHUP has no meaning: settings are read at the start only. By default it would end the process. */
export function ignoreHangUp(onHangUp: () => void): void {
  if (!hasTerminal()) process.on('SIGHUP', onHangUp);
}
