/** Runs batches in a bounded number of lanes: in each lane one after another. */
export interface Lanes {
  /** Starts lanes at the end of this turn, so that what comes together is one batch. */
  start(): void;
  /** Begins no further batch. Resolves when none is under way. */
  close(): Promise<void>;
}

export interface LanesSetup<Element> {
  count: number;
  /** The next batch; empty: there is none, and the lane ends. */
  take: () => readonly Element[];
  run: (batch: readonly Element[]) => Promise<void>;
  /** A batch has failed; its lane has ended. */
  onError: (error: Error) => void;
}

/** No lane runs before `start`. */
export function createLanes<Element>({ count, take, run, onError }: LanesSetup<Element>): Lanes {
  const lanes = new Set<Promise<void>>();
  let isStarting = false;
  let isClosed = false;

  const next = (): readonly Element[] => (isClosed ? [] : take());
  const runLane = async (first: readonly Element[]): Promise<void> => {
    for (let batch = first; batch.length > 0; batch = next()) await run(batch);
  };
  const startLanes = (): void => {
    isStarting = false;
    while (lanes.size < count) {
      const first = next();
      if (first.length === 0) return;
      const lane: Promise<void> = runLane(first)
        .catch((error: unknown) => onError(error as Error))
        .finally(() => lanes.delete(lane));
      lanes.add(lane);
    }
  };

  return {
    start: () => {
      if (isStarting) return;
      isStarting = true;
      queueMicrotask(startLanes);
    },
    close: async () => {
      isClosed = true;
      await Promise.all(lanes);
    },
  };
}
