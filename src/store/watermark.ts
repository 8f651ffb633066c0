/** A number that only grows, and that others wait for. */
export interface Watermark {
  readonly at: number;
  advance(to: number): void;
  /** Resolves to true when the number is there, to false when it is not after so many milliseconds. */
  reached(wanted: number, timeoutMs: number): Promise<boolean>;
}

export function createWatermark(start: number): Watermark {
  let at = start;
  let awaited: { wanted: number; resolve: (inTime: boolean) => void }[] = [];
  return {
    get at() {
      return at;
    },
    advance: (to) => {
      at = Math.max(at, to);
      for (const { wanted, resolve } of awaited) if (wanted <= at) resolve(true);
    },
    reached: async (wanted, timeoutMs) => {
      if (at >= wanted) return true;
      const { promise, resolve } = withResolver();
      const entry = { wanted, resolve };
      awaited.push(entry);
      const timer = setTimeout(() => resolve(false), timeoutMs);
      const inTime = await promise;
      clearTimeout(timer);
      awaited = awaited.filter((other) => other !== entry);
      return inTime;
    },
  };
}

function withResolver(): { promise: Promise<boolean>; resolve: (inTime: boolean) => void } {
  let resolve: (inTime: boolean) => void = () => undefined;
  const promise = new Promise<boolean>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
