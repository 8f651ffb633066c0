/** The answer to a request with an Idempotency-Key. */
export interface KeptAnswer {
  key: string;
  /** Of the request's body. */
  digest: string;
  status: number;
  answer: string;
  created_at: number;
}

export interface IdempotencyStore {
  /** Null: no answer was kept under this key. */
  get(key: string): Promise<KeptAnswer | null>;
  /** Also drops some of those that were kept before the given time. */
  keep(answer: KeptAnswer, dropBefore: number): Promise<void>;
}
