/** Time that a request with a deadline keeps for the fallback ranking and for its answer. */
const RESERVE_MS = 2;

/** Something that is waited for until a time. */
export interface Timed {
  /** performance.now() after which nobody waits for the model; Infinity: the request has no deadline. */
  readonly deadline: number;
}

/** @param deadlineMs of the request, in milliseconds after its start; null: none */
export const deadlineOf = (startedAt: number, deadlineMs: number | null): number =>
  deadlineMs === null ? Infinity : startedAt + deadlineMs - RESERVE_MS;

const LATE = Symbol('late');

export const isLate = ({ deadline }: Timed): boolean => performance.now() > deadline;

/** What the work comes to before the deadline, else what is there instead. The work goes on after it, unwatched. */
export function beforeDeadline<Value>(work: Promise<Value>, { deadline }: Timed, instead: () => Promise<Value>): Promise<Value> {
  return deadline === Infinity ? work : race(work, deadline, instead);
}

async function race<Value>(work: Promise<Value>, deadline: number, instead: () => Promise<Value>): Promise<Value> {
  work.catch(() => undefined); // nobody waits for it after the deadline
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<typeof LATE>((resolve) => {
    timer = setTimeout(() => resolve(LATE), Math.max(0, deadline - performance.now()));
  });
  try {
    const first = await Promise.race([work, late]);
    return first === LATE ? await instead() : first;
  } finally {
    clearTimeout(timer);
  }
}
