import type { AllowedSlots } from '../index/filtered.js';

/** One user's search. */
export interface SearchJob {
  /** Slots, oldest first; at least one and at most T. Empty when `similarTo` is given. */
  history: ArrayLike<number>;
  count: number;
  /** Whether items of the history must not be returned. */
  excludesHistory: boolean;
  /** Null: the history and the count say everything. */
  options: SearchOptions | null;
}

/** The same in a worker. */
export interface UnpackedJob extends SearchJob {
  history: Int32Array;
}

/** What only some requests ask for. */
export interface SearchOptions {
  /** Slot of the item whose vector is the query, instead of a user's vector. */
  similarTo: number | null;
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
  /** Null unless the job's options ask for some. */
  vectors: SearchVectors | null;
}

export interface SearchVectors {
  /** The query, [d], normalised where the similarity is cosine; null unless the job asked for it. */
  user: Float32Array | null;
  /** For an explanation: the user vector without history item i, for each i. */
  without: Float32Array[];
}

/** A batch of jobs in two objects: the cost of a structured clone grows with the objects, not with the bytes. */
export interface PackedJobs {
  /** For each job: length of the history, count, whether the history is excluded, and the history's slots. */
  numbers: Int32Array;
  /** Null when no job of the batch has options. */
  options: (SearchOptions | null)[] | null;
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

export function packJobs(jobs: readonly SearchJob[]): PackedJobs {
  const numbers = new Int32Array(jobs.reduce((sum, { history }) => sum + HEADER + history.length, 0));
  let at = 0;
  for (const { history, count, excludesHistory } of jobs) {
    numbers[at] = history.length;
    numbers[at + 1] = count;
    numbers[at + 2] = excludesHistory ? 1 : 0;
    numbers.set(history, at + HEADER);
    at += HEADER + history.length;
  }
  return { numbers, options: someOf(jobs.map(({ options }) => options)) };
}

/** The histories are views of the message. */
export function unpackJobs({ numbers, options }: PackedJobs): UnpackedJob[] {
  const jobs: UnpackedJob[] = [];
  for (let at = 0; at < numbers.length;) {
    const first = at + HEADER;
    const end = first + (numbers[at] as number); // a header of three numbers
    const count = numbers[at + 1] as number;
    jobs.push({ history: numbers.subarray(first, end), count, excludesHistory: numbers[at + 2] === 1, options: options?.[jobs.length] ?? null });
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
