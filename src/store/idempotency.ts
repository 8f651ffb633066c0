/** The answer to a request with an Idempotency-Key. */
export interface KeptAnswer {
  key: string;
  /** SHA-256 of the request's body, hexadecimal. */
  digest: string;
  status: number;
  answer: string;
  created_at: number;
}

export interface IdempotencyStore {
  /** Null: no answer was kept under this key. */
  get(key: string): Promise<KeptAnswer | null>;
  /** Keeps an answer, and drops some answers that were kept before the given time, milliseconds since 1970. */
  keep(answer: KeptAnswer, dropBefore: number): Promise<void>;
}
