/** Time that one turn of the event loop gives to long work, milliseconds. */
const SLICE_MS = 2;

/** Work in steps: between two of them other work may run. */
export type Steps<Value> = Generator<undefined, Value>;

/** Runs long work in slices: one slice in each turn of the event loop, whatever number of works there are. */
export type RunInSlices = <Value>(steps: Steps<Value>) => Promise<Value>;

interface Work {
  steps: Steps<unknown>;
  resolve: (value: never) => void;
  reject: (error: unknown) => void;
}

export function createSlices(): RunInSlices {
  const queue: Work[] = [];
  const run = (): void => {
    const work = queue.shift();
    if (work === undefined) return;
    try {
      const end = performance.now() + SLICE_MS;
      let step = work.steps.next();
      while (step.done !== true && performance.now() < end) step = work.steps.next();
      if (step.done === true) work.resolve(step.value as never);
      else queue.push(work);
    } catch (error) {
      work.reject(error);
    }
    if (queue.length > 0) setImmediate(run);
  };
  return (steps) =>
    new Promise((resolve, reject) => {
      queue.push({ steps, resolve, reject });
      if (queue.length === 1) setImmediate(run);
    });
}
