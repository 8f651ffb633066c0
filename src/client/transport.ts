import { jsonOf } from './json.js';
import { ReelfuseProblem, ReelfuseUnreachable, problemOf } from './problem.js';

export interface RetryRules {
  /** Sent so often at most, the first time included. */
  maxAttempts: number;
  /** The first wait when the server does not say; doubled each time. */
  firstDelayMs: number;
  /** The longest wait. A Retry-After beyond it is not waited for: the problem is thrown, and says when. */
  maxDelayMs: number;
}

export interface ClientOptions {
  /** Where the server is, like `http://127.0.0.1:8080`; in a browser `''` is the page's own origin. */
  baseUrl: string;
  apiKey?: string;
  /** Of one attempt, until its body has been read. */
  timeoutMs?: number;
  retry?: Partial<RetryRules>;
  /** Instead of the global one. */
  fetch?: typeof fetch;
}

export interface CallOptions {
  signal?: AbortSignal;
}

export interface Call extends CallOptions {
  method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';
  path: string;
  query?: Record<string, string | number | boolean | undefined>;
  headers?: Record<string, string>;
  /** Text goes as it is, anything else as JSON. */
  body?: unknown;
  /** Whether doing it twice is the same as doing it once: only then is it sent again when nobody knows what became of it. */
  isIdempotent: boolean;
  /** Statuses above 299 that are an answer too. */
  accepts?: (status: number, contentType: string) => boolean;
}

/**
 * Sends a call until it is answered or given up. @returns the body's text
 * @throws ReelfuseProblem, ReelfuseUnreachable; TypeError with a JSON pointer when the body holds what JSON cannot
 */
export type Send = (call: Call) => Promise<string>;

const DEFAULT_RULES: RetryRules = { maxAttempts: 4, firstDelayMs: 200, maxDelayMs: 30_000 };
const DEFAULT_TIMEOUT_MS = 60_000;

/** Refused before anything was done. */
const REFUSED = new Set([429, 503]);
/** A proxy does not know what became of the request behind it. */
const UNKNOWN = new Set([502, 504]);

export function createTransport({ baseUrl, apiKey, timeoutMs = DEFAULT_TIMEOUT_MS, retry, fetch: given }: ClientOptions): Send {
  const rules = { ...DEFAULT_RULES, ...retry };
  const base = baseUrl.replace(/\/+$/, '');
  // looked up at each call, and called without a `this`: browsers refuse any other
  const fetchNow: typeof fetch = given ?? ((...request) => fetch(...request));

  const attempt = async (call: Call, body: string | undefined): Promise<{ response: Response; text: string }> => {
    const { signal, release } = limited(call.signal, timeoutMs);
    try {
      const response = await fetchNow(`${base}${call.path}${queryOf(call.query)}`, {
        method: call.method,
        signal,
        headers: {
          accept: 'application/json',
          ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...call.headers,
        },
        ...(body !== undefined && { body }),
      });
      return { response, text: await response.text() };
    } finally {
      release();
    }
  };

  const mayRepeat = (problem: ReelfuseProblem, call: Call): boolean =>
    REFUSED.has(problem.status) || problem.code === 'idempotency_key_in_use' || (UNKNOWN.has(problem.status) && call.isIdempotent);

  return async (call) => {
    const body = typeof call.body === 'string' || call.body === undefined ? call.body : jsonOf(call.body);
    for (let attempts = 1; ; attempts++) {
      const isLast = attempts >= rules.maxAttempts;
      let delay: number | null;
      try {
        const { response, text } = await attempt(call, body);
        if (response.ok || call.accepts?.(response.status, response.headers.get('content-type') ?? '') === true) return text;
        const problem = problemOf(response, text, attempts, Date.now());
        delay = delayOf(problem.retryAfterMs, attempts, rules);
        if (isLast || delay === null || !mayRepeat(problem, call)) throw problem;
      } catch (error) {
        if (error instanceof ReelfuseProblem) throw error;
        call.signal?.throwIfAborted();
        delay = delayOf(null, attempts, rules);
        if (isLast || delay === null || !call.isIdempotent)
          throw new ReelfuseUnreachable(`${call.method} ${call.path} at ${base}: ${reasonOf(error)}`, attempts, error);
      }
      await pause(delay, call.signal);
    }
  };
}

/** `fetch failed` says nothing; its cause does. */
function reasonOf(error: unknown): string {
  const { message, cause } = error instanceof Error ? error : new Error(String(error));
  const inner = cause instanceof Error ? cause.message || (cause as { code?: string }).code : undefined;
  return inner === undefined ? message : `${message}: ${inner}`;
}

/**
 * Never earlier than the server says, and spread over a quarter more, so that those who were refused together do not come back together.
 * @returns null: longer than is waited for
 */
function delayOf(asked: number | null, attempts: number, { firstDelayMs, maxDelayMs }: RetryRules): number | null {
  if (asked !== null) return asked > maxDelayMs ? null : asked * (1 + Math.random() / 4);
  return Math.min(maxDelayMs, firstDelayMs * 2 ** (attempts - 1)) * (0.5 + Math.random() / 2);
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, milliseconds);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Aborts when the caller does, or when the time is over. */
function limited(outer: AbortSignal | undefined, timeoutMs: number): { signal: AbortSignal; release: () => void } {
  outer?.throwIfAborted();
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(outer?.reason);
  const timer = setTimeout(() => controller.abort(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  outer?.addEventListener('abort', onAbort, { once: true });
  return {
    signal: controller.signal,
    release: () => {
      clearTimeout(timer);
      outer?.removeEventListener('abort', onAbort);
    },
  };
}

function queryOf(query: Call['query']): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined) parameters.set(name, String(value));
  const text = parameters.toString();
  return text === '' ? '' : `?${text}`;
}
