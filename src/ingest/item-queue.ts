/** Writes under way, in order by item and bounded in number. */
export interface ItemQueue {
  /**
   * Tasks of one item run one after another, in the order of these calls; those of different items do not wait for each other.
   * @param whenFull a caller who waits brings a bounded number at a time
   * @throws what `refuse` makes, when it is full
   */
  serializeByItem<Value>(itemId: string, whenFull: 'refuse' | 'wait', task: () => Promise<Value>): Promise<Value>;
  /** Resolves when the tasks that were begun before this call are done. */
  settle(): Promise<void>;
}

export function createItemQueue(maxTasks: number, refuse: () => Error): ItemQueue {
  const last = new Map<string, Promise<unknown>>();
  let underWay = 0;
  /** Callers who wait for a place, in the order of their arrival; a task that is done hands its place on. */
  const waiters: (() => void)[] = [];
  const leave = (): void => {
    const next = waiters.shift();
    if (next === undefined) underWay--;
    else next();
  };
  return {
    serializeByItem: async (itemId, whenFull, task) => {
      if (underWay < maxTasks) underWay++;
      else if (whenFull === 'wait') await new Promise<void>((resolve) => waiters.push(resolve));
      else throw refuse();
      const mine = (last.get(itemId) ?? Promise.resolve()).then(task, task);
      last.set(itemId, mine);
      const forget = (): void => {
        leave();
        if (last.get(itemId) === mine) last.delete(itemId);
      };
      mine.then(forget, forget);
      return mine;
    },
    settle: async () => void (await Promise.allSettled(last.values())),
  };
}
