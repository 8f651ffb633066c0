import type { Generations } from '../generations/generations.js';
import type { ChangeFeed } from '../store/changes.js';

/** The change feed as requests see it: a change is there when the serving index has it, too, whichever server wrote it. */
export const visibleChanges = (changes: ChangeFeed, { indexed }: Pick<Generations, 'indexed'>): Pick<ChangeFeed, 'sequence' | 'reached'> => ({
  get sequence() {
    return changes.sequence;
  },
  reached: async (sequence, timeoutMs) => {
    const started = performance.now();
    if (!(await changes.reached(sequence, timeoutMs))) return false;
    const upTo = Math.min(sequence, changes.itemSequence);
    return within(indexed({ itemId: '', sequence: upTo }, 'searchable'), timeoutMs - (performance.now() - started));
  },
});

/** @returns false after the time, or when the task fails */
async function within(task: Promise<void>, milliseconds: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), Math.max(0, milliseconds))));
  try {
    const done = task.then(
      () => true,
      () => false,
    );
    return await Promise.race([done, late]);
  } finally {
    clearTimeout(timer);
  }
}
