import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { overloaded } from '../errors.js';
import type { Metrics } from '../metrics.js';
import { requestId } from './observe.js';
import { PROBLEM_TYPE, problemBody } from './problem.js';
import { closeLingering } from './lingering-close.js';
import { closeAnswered } from './orderly-close.js';

/** Time over which the rate of answered requests is measured. */
const WINDOW_MS = 100;
/** Weight of the newest window in the moving average. */
const NEWEST = 0.3;
const LOG_EVERY_MS = 1000;
/** Time after which a request without its body no longer counts as open. */
const BODY_MS = 1000;
/** Idle time until TCP keep-alive probes the peer. */
const PROBE_AFTER_MS = 60_000;
/** Longer than the idle time of usual load balancers, so that they close first. */
const KEEP_ALIVE_MS = 72_000;

export interface Admission {
  /** Counts a request as open. False: its expected wait is too long, and it must be refused. */
  enter(): boolean;
  /** An open request was answered. */
  leave(): void;
  /** An open request no longer counts, and was not answered: it does not enter the rate. */
  withdraw(): void;
}

export interface AdmissionSettings {
  /** Maximum number of open requests, also before a rate has been measured. */
  maxOpen: number;
  maxWaitMs: number;
  /** This number of open requests is always admitted: enough that no thread waits for work. */
  always: number;
}

/**
 * Admits the requests that can be answered within `maxWaitMs`, by Little's law: with n open requests and r answers per
 * millisecond, the next request is answered after n / r. r is measured while at least `always` requests are open, so it covers every
 * stage and the present mix of requests.
 * @param now clock, milliseconds
 */
export function createAdmission({ maxOpen, maxWaitMs, always }: AdmissionSettings, now = (): number => performance.now()): Admission {
  let open = 0;
  let limit = maxOpen;
  /** Answers per millisecond under load; null: there was no load yet. */
  let rate: number | null = null;
  let since = now();
  let left = 0;
  /** Smallest number of open requests in this window. Below `always`, the callers bound the rate, not the server. */
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

/** Counts a request as open until its answer is written. A request whose body does not come is withdrawn, so that stalled callers keep no others out. */
function holdPlace(request: IncomingMessage, response: ServerResponse, admission: Admission): void {
  let isHeld = true;
  const release = (giveBack: () => void): void => {
    if (isHeld) giveBack();
    isHeld = false;
  };
  response.once('close', () => release(admission.leave));
  const expectBody = (): void => void setTimeout(() => request.complete || release(admission.withdraw), BODY_MS).unref();
  setImmediate(() => request.complete || expectBody()); // nearly all bodies arrive with their headers
}

/** Whether a recommender answers the request: only these can overload the server. */
const isGuarded = ({ method, url = '' }: IncomingMessage): boolean =>
  method === 'POST'
    ? url.startsWith('/v1/recommendations') || (url.startsWith('/v1/items/') && url.endsWith('/similar'))
    : method === 'GET' && url.startsWith('/v1/users/') && url.includes('/recommendations');

/**
 * An HTTP server that answers 503 before routing, parsing or logging begin. Refusing must be cheap: in an overload there can be
 * more refusals than answers.
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

/** Logs the number of refused requests once a second. */
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
