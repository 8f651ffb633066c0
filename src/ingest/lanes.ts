/** Runs batches in a bounded number of lanes: in each lane one after another. */
export interface Lanes {
  /** Starts lanes at the end of this turn, so that what comes together is one batch. */
  start(): void;
  /** Begins no further batch. Resolves when none is under way. */
  close(): Promise<void>;
}

export interface LanesSetup<Batch> {
  count: number;
  /** Takes the next batch; null: there is none. */
  next: () => Batch | null;
  hasNext: () => boolean;
  run: (batch: Batch) => Promise<void>;
  /** A batch has failed; its lane has ended. */
  onError: (error: Error) => void;
}

/** No lane runs before `start`. */
export function createLanes<Batch>({ count, next, hasNext, run, onError }: LanesSetup<Batch>): Lanes {
  const lanes = new Set<Promise<void>>();
  let isStarting = false;
  let isClosed = false;

  const runLane = async (): Promise<void> => {
    for (let batch = next(); batch !== null && !isClosed; batch = next()) await run(batch);
  };
  const startLanes = (): void => {
    isStarting = false;
    while (lanes.size < count && hasNext() && !isClosed) {
      const lane: Promise<void> = runLane()
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
