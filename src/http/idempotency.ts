import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import { Type } from 'typebox';
import { ReelfuseError, invalidRequest } from '../errors.js';
import type { IdempotencyStore, KeptAnswer } from '../store/idempotency.js';

export const IdempotencyKey = Type.Optional(
  Type.String({
    description:
      '1 to 128 visible characters. Within a day the same key with the same body gets the first answer and changes nothing. The answer is not kept ' +
      'when a row had status 5xx, when the body was not read to its end, or when the server ended before it answered: the retry then stores all rows ' +
      'again. Streamed answers accept no key.',
  }),
);

export interface JsonAnswer {
  status: number;
  body: unknown;
  /** Whether the answer may be kept for retries. False when a retry could succeed where this request failed. */
  isFinal: boolean;
}

export interface Idempotency {
  /**
   * Runs the task, or returns the kept answer of an earlier request with the same key and body.
   * @param source the body, for the digest; a stream is passed on as it is read
   * @throws ReelfuseError 409 `idempotency_key_in_use`, 422 `idempotency_key_reused`
   */
  run(
    key: string,
    source: AsyncIterable<Buffer> | string,
    task: (source: AsyncIterable<Buffer> | string) => Promise<JsonAnswer>,
  ): Promise<JsonAnswer>;
}

const KEPT_MS = 24 * 3_600_000;
const KEY = /^[\x21-\x7e]{1,128}$/;

/**
 * Keeps answers by idempotency key for a day. A second request with a key that is being answered is refused.
 * @param steadyNow milliseconds since 1970, without the jumps of the wall time
 */
export function createIdempotency(store: IdempotencyStore, log: Pick<Logger, 'error'>, steadyNow: () => number): Idempotency {
  const running = new Set<string>();

  /** The caller gets the answer even when it cannot be kept: an error would cause the retry that the key is meant to prevent. */
  const keep = async (answer: KeptAnswer): Promise<void> => {
    try {
      await store.keep(answer, answer.created_at - KEPT_MS);
    } catch (error) {
      log.error({ err: error }, 'an answer could not be kept: a retry with its key would put the rows again');
    }
  };

  return {
    run: async (key, source, task) => {
      if (!KEY.test(key)) throw invalidRequest([{ pointer: '/headers/idempotency-key', detail: 'must be 1 to 128 visible characters' }]);
      if (running.has(key))
        throw new ReelfuseError(409, 'idempotency_key_in_use', 'the first request with this key is still being served', { retryAfter: 1 });
      running.add(key);
      try {
        const now = steadyNow();
        const kept = await store.get(key);
        const { digest, passed } = hashed(source);
        if (kept !== null && Math.abs(now - kept.created_at) < KEPT_MS) {
          if (typeof passed !== 'string') await readToTheEnd(passed);
          if (digest() !== kept.digest)
            throw new ReelfuseError(422, 'idempotency_key_reused', 'this key came with another body before', {
              errors: [{ pointer: '/headers/idempotency-key', detail: 'belongs to another body' }],
            });
          return { status: kept.status, body: JSON.parse(kept.answer) as unknown, isFinal: true };
        }
        const answer = await task(passed);
        if (answer.isFinal) await keep({ key, digest: digest(), status: answer.status, answer: JSON.stringify(answer.body), created_at: now });
        return answer;
      } finally {
        running.delete(key);
      }
    },
  };
}

/** Hashes the body while it is read. Call `digest` after the stream has ended. */
function hashed(source: AsyncIterable<Buffer> | string): { digest: () => string; passed: AsyncIterable<Buffer> | string } {
  const hash = createHash('sha256');
  const digest = once(() => hash.digest('hex'));
  if (typeof source === 'string') {
    hash.update(source);
    return { digest, passed: source };
  }
  return { digest, passed: passOn(source, (chunk) => hash.update(chunk)) };
}

async function* passOn(source: AsyncIterable<Buffer>, look: (chunk: Buffer) => void): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    look(chunk);
    yield chunk;
  }
}

async function readToTheEnd(source: AsyncIterable<Buffer>): Promise<void> {
  const chunks = source[Symbol.asyncIterator]();
  while ((await chunks.next()).done !== true);
}

function once<Value>(make: () => Value): () => Value {
  let made: { value: Value } | null = null;
  return () => (made ??= { value: make() }).value;
}
