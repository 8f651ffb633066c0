import type { AllowedSlots } from '../index/filtered.js';

/** One user's search, as a worker sees it. */
export interface SearchJob<Slots = Int32Array> {
  /** Slots, oldest first; at least one and at most T. Empty when `near` is given. */
  history: Slots;
  count: number;
  /** Whether items of the history are not to come back. */
  exceptHistory: boolean;
  /** Null: nothing but the history counts. */
  wishes: SearchWishes | null;
}

/** The same as it is asked for. */
export type AskedJob = SearchJob<ArrayLike<number>>;

/** What only some requests ask for. */
export interface SearchWishes {
  /** Search around this item's vector instead of a user's. */
  near: number | null;
  /** Slots of disliked examples: the query moves away from them. */
  disliked: Int32Array;
  /** Slots that may be returned; null: all. */
  allowed: AllowedSlots | null;
  /** Score every slot instead of asking the index. */
  exact: boolean;
  /** Embed with the float32 user tower. */
  float32: boolean;
  explain: boolean;
  /** Whether the answer needs the user vector too. */
  wantsUser: boolean;
}

export interface SearchResult {
  slots: Int32Array;
  similarities: Float32Array;
  /** Null unless the job had wishes that need it. */
  vectors: SearchVectors | null;
}

export interface SearchVectors {
  /** What was searched for, [d], normalised where the similarity is cosine; null unless the job asked for it. */
  user: Float32Array | null;
  /** For an explanation: the user vector without history item i, for each i. */
  without: Float32Array[];
}

/** A batch of jobs in two pieces: a structured clone costs by the object, not by the byte. */
export interface PackedJobs {
  /** length, count, whether the history is excepted, and the history's slots of each job */
  numbers: Int32Array;
  /** Null when no job of the batch has any. */
  wishes: (SearchWishes | null)[] | null;
}

export interface PackedResults {
  /** Number of slots of each result. */
  lengths: Int32Array;
  slots: Int32Array;
  similarities: Float32Array;
  vectors: (SearchVectors | null)[] | null;
}

const HEADER = 3;
const someOf = <Value>(values: (Value | null)[]): (Value | null)[] | null => (values.some((value) => value !== null) ? values : null);

export function packJobs(jobs: readonly AskedJob[]): PackedJobs {
  const numbers = new Int32Array(jobs.reduce((sum, { history }) => sum + HEADER + history.length, 0));
  let at = 0;
  for (const { history, count, exceptHistory } of jobs) {
    numbers[at] = history.length;
    numbers[at + 1] = count;
    numbers[at + 2] = exceptHistory ? 1 : 0;
    numbers.set(history, at + HEADER);
    at += HEADER + history.length;
  }
  return { numbers, wishes: someOf(jobs.map(({ wishes }) => wishes)) };
}

/** The histories are views into the message. */
export function unpackJobs({ numbers, wishes }: PackedJobs): SearchJob[] {
  const jobs: SearchJob[] = [];
  for (let at = 0; at < numbers.length;) {
    const first = at + HEADER;
    const end = first + (numbers[at] as number); // a header of three numbers
    const count = numbers[at + 1] as number;
    jobs.push({ history: numbers.subarray(first, end), count, exceptHistory: numbers[at + 2] === 1, wishes: wishes?.[jobs.length] ?? null });
    at = end;
  }
  return jobs;
}

export function packResults(results: readonly SearchResult[]): PackedResults {
  const lengths = Int32Array.from(results, ({ slots }) => slots.length);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const packed = {
    lengths,
    slots: new Int32Array(total),
    similarities: new Float32Array(total),
    vectors: someOf(results.map(({ vectors }) => vectors)),
  };
  let at = 0;
  for (const { slots, similarities } of results) {
    packed.slots.set(slots, at);
    packed.similarities.set(similarities, at);
    at += slots.length;
  }
  return packed;
}
