/** Resolves in a turn of the event loop of its own: long work awaits it now and then, and what else waits goes first. */
export type OwnTurn = () => Promise<void>;

/** Lets one caller through in each turn of the event loop, in order: ten long works at once take turns instead of one turn ten times as long. */
export function createTurnstile(): OwnTurn {
  const queue: (() => void)[] = [];
  const open = (): void => {
    queue.shift()?.();
    if (queue.length > 0) setImmediate(open);
  };
  return () =>
    new Promise((resolve) => {
      queue.push(resolve);
      if (queue.length === 1) setImmediate(open);
    });
}
