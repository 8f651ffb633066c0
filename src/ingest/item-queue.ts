/** Runs writes: in order for each item, and a bounded number at once. */
export interface ItemQueue {
  /**
   * Runs tasks of one item one after another, in the order of the calls. Tasks of different items run at the same time.
   * @param whenFull `wait` is for callers with a bounded number of tasks: waiting tasks are not limited
   * @throws the error of `refuse` when the queue is full and `whenFull` is `refuse`
   */
  serializeByItem<Value>(itemId: string, whenFull: 'refuse' | 'wait', task: () => Promise<Value>): Promise<Value>;
  /** Resolves when the tasks that were begun before this call are done. */
  settle(): Promise<void>;
}

/** @param refuse makes the error of a full queue */
export function createItemQueue(maxTasks: number, refuse: () => Error): ItemQueue {
  const last = new Map<string, Promise<unknown>>();
  let underWay = 0;
  /** Callers that wait for the end of another task, in the order of arrival. */
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
