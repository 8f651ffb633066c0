/** What a key may use. 0: unlimited. */
export interface RateLimits {
  requestsPerSecond: number;
  bytesPerMinute: number;
}

/** A token bucket: holds `capacity` tokens and regains them within `windowSeconds`. */
interface Bucket {
  level: number;
  readonly capacity: number;
  readonly perMs: number;
  readonly policy: string;
  readonly name: string;
}

export interface RateLimiter {
  /**
   * Takes a request with a body of this size. Bytes may be overdrawn by one body; then the key waits until they are regained.
   * @returns seconds until it may be repeated; 0: it was taken
   */
  take(bytes: number): number;
  /** Takes bytes whose number was not known before. */
  takeBytes(bytes: number): void;
  /** Values of `RateLimit-Policy` and `RateLimit`, as draft-ietf-httpapi-ratelimit-headers defines them. */
  headers(): { policy: string; limit: string };
}

/** @param now milliseconds; null: nothing is limited */
export function createRateLimiter({ requestsPerSecond, bytesPerMinute }: RateLimits, now = (): number => performance.now()): RateLimiter | null {
  if (requestsPerSecond === 0 && bytesPerMinute === 0) return null;
  const requests = requestsPerSecond === 0 ? null : bucketOf('requests', requestsPerSecond, 1);
  const bytes = bytesPerMinute === 0 ? null : bucketOf('bytes', bytesPerMinute, 60);
  const buckets = [requests, bytes].filter((bucket) => bucket !== null);
  const policy = buckets.map((bucket) => bucket.policy).join(', ');
  let filledAt = now();

  const refill = (): void => {
    const time = now();
    for (const bucket of buckets) bucket.level = Math.min(bucket.capacity, bucket.level + (time - filledAt) * bucket.perMs);
    filledAt = time;
  };
  return {
    take: (size) => {
      refill();
      const wait = Math.max(...buckets.map(waitOf));
      if (wait > 0) return wait;
      if (requests !== null) requests.level--;
      if (bytes !== null) bytes.level -= size;
      return 0;
    },
    takeBytes: (size) => {
      if (bytes !== null) bytes.level -= size;
    },
    headers: () => ({
      policy,
      limit: buckets.map((bucket) => `"${bucket.name}";r=${Math.max(0, Math.floor(bucket.level))};t=${secondsToFull(bucket)}`).join(', '),
    }),
  };
}

const bucketOf = (name: string, capacity: number, windowSeconds: number): Bucket => ({
  name,
  capacity,
  level: capacity,
  perMs: capacity / windowSeconds / 1000,
  policy: `"${name}";q=${capacity};w=${windowSeconds}`,
});

/** Seconds until one token is there. */
const waitOf = ({ level, perMs }: Bucket): number => (level >= 1 ? 0 : Math.ceil((1 - level) / perMs / 1000));

const secondsToFull = ({ level, capacity, perMs }: Bucket): number => Math.ceil((capacity - level) / perMs / 1000);
