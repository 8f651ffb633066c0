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

export const isLate = ({ deadline }: Timed): boolean => performance.now() > deadline;

/** What the work comes to before the deadline. It goes on after it, unwatched. */
export function unlessLate<Value>(work: Promise<Value>, { deadline }: Timed): Promise<Value | 'late'> {
  return deadline === Infinity ? work : beforeDeadline(work, deadline);
}

async function beforeDeadline<Value>(work: Promise<Value>, deadline: number): Promise<Value | 'late'> {
  work.catch(() => undefined); // nobody waits for it after the deadline
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), Math.max(0, deadline - performance.now()));
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
