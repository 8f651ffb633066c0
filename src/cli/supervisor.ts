import { execFile } from 'node:child_process';
import type { Logger } from 'pino';
import { isNotified } from '../config.js';
import { messageOf } from '../errors.js';

const NOTIFY_MS = 5000;

/**
 * Tells systemd about the state of the server (sd_notify). Node has no datagram sockets of the Unix domain, so systemd's own program
 * sends it; the unit needs NotifyAccess=all. Does nothing without a supervisor.
 */
export const tellSupervisor = (state: 'READY=1' | 'STOPPING=1', log: Logger): Promise<void> =>
  new Promise((resolve) => {
    if (!isNotified()) return resolve();
    execFile('systemd-notify', [state], { timeout: NOTIFY_MS }, (error) => {
      if (error !== null) log.warn({ reason: messageOf(error) }, `the supervisor could not be told ${state}`);
      resolve();
    });
  });
