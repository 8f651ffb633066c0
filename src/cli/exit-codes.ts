/** Exit codes for scripts. A signal ends a command with 128 plus its number, as in shells. */
export const EXIT = {
  done: 0,
  partly: 1,
  usage: 2,
  server: 3,
  failed: 70,
  disk: 74,
  hungUp: 129,
  interrupted: 130,
  terminated: 143,
} as const;

export const EXIT_CODES: readonly [code: number, meaning: string][] = [
  [EXIT.done, 'success'],
  [EXIT.partly, 'partial success: rows were rejected, or a check of doctor failed'],
  [EXIT.usage, 'wrong use, setting or input; nothing was changed, or an import stopped and can be resumed'],
  [EXIT.server, 'the server did not answer, or refused the request'],
  [EXIT.failed, 'internal error, please report it; or a native part of the installation does not load'],
  [EXIT.disk, 'the disk failed or is full; nothing half-made is taken for whole, and the same command can be run again'],
  [EXIT.hungUp, 'ended by SIGHUP: its terminal was closed'],
  [EXIT.interrupted, 'ended by SIGINT; the same import command continues where it stopped'],
  [EXIT.terminated, 'ended by SIGTERM; serve ends with 0 after a signal, and with 128 plus its number before it listens or at the second signal'],
];
