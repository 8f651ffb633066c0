/** What a script may decide by. Signals end a command with 128 and their number, as shells have it. */
export const EXIT = { done: 0, partly: 1, usage: 2, server: 3, failed: 70, interrupted: 130, terminated: 143 } as const;

export const EXIT_CODES: readonly [code: number, meaning: string][] = [
  [EXIT.done, 'done'],
  [EXIT.partly, 'done in part: rows were rejected, or a check of doctor has failed'],
  [EXIT.usage, 'wrong use, setting or input; nothing was changed, or a resumable import has stopped'],
  [EXIT.server, 'the server that was to be asked does not answer, or has refused'],
  [EXIT.failed, 'an error of this program; please report it'],
  [EXIT.interrupted, 'ended by SIGINT; an import goes on where it stopped when it is given again'],
  [EXIT.terminated, 'the same by SIGTERM; serve has no use for either: it ends in order, with 0'],
];
