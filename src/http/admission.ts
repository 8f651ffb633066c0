import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { overloaded } from '../errors.js';
import type { Metrics } from '../metrics.js';
import { requestId } from './observe.js';
import { PROBLEM_TYPE, problemBody } from './problem.js';
import { closeLingering } from './lingering-close.js';
import { closeAnswered } from './orderly-close.js';

/** Requests that leave are counted for so long before they make a rate. */
const WINDOW_MS = 100;
/** Weight of the newest window. */
const NEWEST = 0.3;
const LOG_EVERY_MS = 1000;
/** A request whose body has not come by then keeps no other one out. */
const BODY_MS = 1000;
/** Until the system asks whether a silent peer is still there. */
const PROBE_AFTER_MS = 60_000;
/** Longer than the idle time of usual load balancers, so that they close first. */
const KEEP_ALIVE_MS = 72_000;

export interface Admission {
  /** Takes a place; false: whoever came now would wait too long. */
  enter(): boolean;
  leave(): void;
  /** Gives a place back for which nothing was done. */
  withdraw(): void;
}

export interface AdmissionSettings {
  /** Never more open requests than this, also while nothing has been measured. */
  maxOpen: number;
  maxWaitMs: number;
  /** So many are let in whatever they take: enough that no thread waits for work. */
  always: number;
}

/**
 * Lets in as many requests as will be answered within `maxWaitMs`. With n inside and r leaving a millisecond, the next one
 * is answered after n / r; r is measured while there is a crowd, so it knows of every stage and of what requests ask for.
 * @param now milliseconds
 */
export function createAdmission({ maxOpen, maxWaitMs, always }: AdmissionSettings, now = (): number => performance.now()): Admission {
  let open = 0;
  let limit = maxOpen;
  /** Leaving a millisecond; null: there was no crowd yet. */
  let rate: number | null = null;
  let since = now();
  let left = 0;
  /** The smallest number of open requests in this window: with less than a crowd, the rate is the callers', not the server's. */
  let lowest = 0;

  const measure = (elapsed: number): void => {
    const measured = left / elapsed;
    if (lowest >= always) rate = rate === null ? measured : rate + NEWEST * (measured - rate);
    else if (rate !== null) rate = Math.max(rate, measured);
    if (rate !== null) limit = Math.min(maxOpen, Math.max(always, rate * maxWaitMs));
  };
  return {
    enter: () => {
      if (open >= limit) return false;
      open++;
      return true;
    },
    leave: () => {
      open--;
      left++;
      lowest = Math.min(lowest, open);
      const elapsed = now() - since;
      if (elapsed < WINDOW_MS) return;
      measure(elapsed);
      since += elapsed;
      left = 0;
      lowest = open;
    },
    withdraw: () => {
      open--;
      lowest = Math.min(lowest, open);
    },
  };
}

/** Until the answer is written; a body that does not come gives the place back, else a few stalled callers would shut everyone out. */
function holdPlace(request: IncomingMessage, response: ServerResponse, admission: Admission): void {
  let isHeld = true;
  const release = (giveBack: () => void): void => {
    if (isHeld) giveBack();
    isHeld = false;
  };
  response.once('close', () => release(admission.leave));
  const expectBody = (): void => void setTimeout(() => request.complete || release(admission.withdraw), BODY_MS).unref();
  setImmediate(() => request.complete || expectBody()); // nearly all have come with their headers
}

/** Requests that a recommender answers: one at a time is milliseconds, a crowd of them is what overloads a server. */
const isGuarded = ({ method, url = '' }: IncomingMessage): boolean =>
  method === 'POST'
    ? url.startsWith('/v1/recommendations') || (url.startsWith('/v1/items/') && url.endsWith('/similar'))
    : method === 'GET' && url.startsWith('/v1/users/') && url.includes('/recommendations');

/**
 * An HTTP server that answers 503 before routing, parsing or logging begin: refusing must stay cheap, because in an
 * overload there are as many refusals as answers.
 */
export function createGuardedServer(options: ServerOptions, handle: RequestListener, admission: Admission, metrics: Metrics, log: Logger): Server {
  const refusal = overloaded('recommender');
  const retryAfter = String(refusal.retryAfter);
  const refused = countedInLog(log);
  const refuse = (request: IncomingMessage, response: ServerResponse): void => {
    metrics.rejected.inc({ reason: 'overload' });
    refused();
    const id = requestId(request);
    const body = JSON.stringify(problemBody(refusal, id));
    response.writeHead(refusal.status, {
      'content-type': PROBLEM_TYPE,
      'content-length': Buffer.byteLength(body),
      'retry-after': retryAfter,
      'x-request-id': id,
    });
    response.end(body);
  };
  const server = closeAnswered(
    closeLingering(
      createServer({ ...options, keepAlive: true, keepAliveInitialDelay: PROBE_AFTER_MS }, (request, response) => {
        if (!isGuarded(request)) handle(request, response);
        else if (admission.enter()) {
          if (request.method === 'POST') holdPlace(request, response, admission);
          else response.once('close', admission.leave); // has no body to wait for
          handle(request, response);
        } else refuse(request, response);
      }),
    ),
  );
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.requestTimeout = 0; // an upload may be of any length
  return server;
}

/** One line a second for all of them. */
function countedInLog(log: Logger): () => void {
  let count = 0;
  const write = (): void => {
    log.warn({ refused: count }, 'overload: requests were refused');
    count = 0;
  };
  return () => {
    if (count++ === 0) setTimeout(write, LOG_EVERY_MS).unref();
  };
}
