import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { ReelfuseError, overloaded } from '../errors.js';
import type { Metrics } from '../metrics.js';
import { requestId } from './observe.js';
import { PROBLEM_TYPE, closeWithProblem, problemBody } from './problem.js';
import { closeLingering } from './lingering-close.js';
import { closeAnswered } from './orderly-close.js';
import { endStalled } from './stalled.js';

/** Length of the window in which answers are counted for a rate. */
const WINDOW_MS = 100;
/** Weight of the newest window in the rate. */
const NEWEST_WEIGHT = 0.3;
const LOG_EVERY_MS = 1000;
/** A request whose body has not arrived after this time no longer counts as open. */
const BODY_MS = 1000;
/** Idle time before the operating system probes whether the peer is still there. */
const PROBE_AFTER_MS = 60_000;
/** Longer than the idle timeout of common load balancers, so that they close first. */
const KEEP_ALIVE_MS = 72_000;

export interface Admission {
  /** Counts one more open request; false: it would wait too long and must be refused. */
  enter(): boolean;
  /** The request was answered. */
  leave(): void;
  /** The request no longer counts as open, although it was not answered. */
  withdraw(): void;
}

export interface AdmissionSettings {
  /** Upper limit of open requests, also while no rate has been measured. */
  maxOpen: number;
  /** Longest expected wait of a new request. */
  maxWaitMs: number;
  /** Open requests that are admitted at any rate: enough that no thread waits for work. */
  always: number;
}

/**
 * Admits as many requests as will be answered within `maxWaitMs`. With n open requests and r answers a millisecond, the next request is
 * answered after n / r ms. r is measured under load, and therefore includes every stage and the cost of the requests' options.
 * @param now milliseconds
 */
export function createAdmission({ maxOpen, maxWaitMs, always }: AdmissionSettings, now = (): number => performance.now()): Admission {
  let open = 0;
  let limit = maxOpen;
  /** Answers a millisecond; null: not measured yet. */
  let rate: number | null = null;
  let windowStart = now();
  let answered = 0;
  /** The smallest number of open requests in this window. Below `always` the rate is that of the callers, not of the server. */
  let fewestOpen = 0;

  const measure = (elapsed: number): void => {
    const measured = answered / elapsed;
    if (fewestOpen >= always) rate = rate === null ? measured : rate + NEWEST_WEIGHT * (measured - rate);
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
      answered++;
      fewestOpen = Math.min(fewestOpen, open);
      const elapsed = now() - windowStart;
      if (elapsed < WINDOW_MS) return;
      measure(elapsed);
      windowStart += elapsed;
      answered = 0;
      fewestOpen = open;
    },
    withdraw: () => {
      open--;
      fewestOpen = Math.min(fewestOpen, open);
    },
  };
}

/** Counts the request as open until it is answered. A body that does not arrive ends that earlier: a few stalled callers would shut out everyone. */
function countAsOpen(request: IncomingMessage, response: ServerResponse, admission: Admission): void {
  let isOpen = true;
  const end = (tell: () => void): void => {
    if (isOpen) tell();
    isOpen = false;
  };
  response.once('close', () => end(admission.leave));
  const expectBody = (): void => void setTimeout(() => request.complete || end(admission.withdraw), BODY_MS).unref();
  setImmediate(() => request.complete || expectBody()); // nearly all bodies arrive with their headers
}

/** Requests that a recommender answers: only these can overload the server. */
export function isGuarded({ method, url = '' }: Pick<IncomingMessage, 'method' | 'url'>): boolean {
  const path = pathOf(url);
  return method === 'POST'
    ? path.startsWith('/v1/recommendations') || (path.startsWith('/v1/items/') && path.endsWith('/similar'))
    : (method === 'GET' || method === 'HEAD') && path.startsWith('/v1/users/') && path.endsWith('/recommendations');
}

/** The path as the router sees it. */
function pathOf(url: string): string {
  const end = url.search(/[?#;]/);
  const path = end < 0 ? url : url.slice(0, end);
  if (!path.includes('%')) return path;
  try {
    return decodeURIComponent(path);
  } catch {
    return path; // refused by the router
  }
}

/** RFC 9112, section 3.2.2: a target may be a whole URL, whose host the server ignores. */
function toPath(request: IncomingMessage): void {
  const { url = '' } = request;
  if (url.startsWith('/')) return;
  const [origin] = /^https?:\/\/[^/?#]*/i.exec(url) ?? [];
  if (origin === undefined) return;
  const rest = url.slice(origin.length);
  request.url = rest.startsWith('/') ? rest : `/${rest}`;
}

/**
 * An HTTP server that answers 503 before routing, parsing and logging. A refusal must be cheap, because in an overload there are as many
 * refusals as answers.
 */
export function createGuardedServer(
  { maxConnections, ...options }: ServerOptions & { maxConnections: number },
  handle: RequestListener,
  admission: Admission,
  metrics: Metrics,
  log: Logger,
): Server {
  const refusal = overloaded('recommender');
  const retryAfter = String(refusal.retryAfter);
  const refused = countedInLog(log, 'overload: requests were refused');
  const write = (request: IncomingMessage, response: ServerResponse, error: ReelfuseError, headers: Record<string, string>): void => {
    const id = requestId(request);
    const body = JSON.stringify(problemBody(error, id));
    response.writeHead(error.status, { 'content-type': PROBLEM_TYPE, 'content-length': Buffer.byteLength(body), 'x-request-id': id, ...headers });
    response.end(body);
  };
  const refuse = (request: IncomingMessage, response: ServerResponse): void => {
    metrics.rejected.inc({ reason: 'overload' });
    refused();
    write(request, response, refusal, { 'retry-after': retryAfter });
  };
  const server = endStalled(
    closeAnswered(
      closeLingering(
        createServer({ ...options, keepAlive: true, keepAliveInitialDelay: PROBE_AFTER_MS, requireHostHeader: false }, (request, response) => {
          toPath(request);
          if (!isGuarded(request)) handle(request, response);
          else if (admission.enter()) {
            if (request.method === 'POST') countAsOpen(request, response, admission);
            else response.once('close', admission.leave); // no body to wait for
            handle(request, response);
          } else refuse(request, response);
        }),
      ),
    ),
  );
  // Node takes its own listener away when it hands a connection over, as for CONNECT; a reset would then end the process
  server.on('connection', (socket: Socket) => void socket.on('error', () => undefined));
  // protocol.ts refuses a missing Host with a problem
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    const error = new ReelfuseError(417, 'expectation_failed', 'the only expectation that the server meets is 100-continue');
    write(request, response, error, { connection: 'close' });
  });
  server.on('connect', (_request, socket) => {
    closeWithProblem(socket as Socket, new ReelfuseError(405, 'method_not_allowed', 'this server is no proxy'), 'allow: \r\n');
  });
  server.maxConnections = maxConnections;
  const dropped = countedInLog(log, 'more connections than REELFUSE_MAX_CONNECTIONS: new ones were closed');
  server.on('drop', () => {
    metrics.rejected.inc({ reason: 'connections' });
    dropped();
  });
  server.maxHeadersCount = 0; // Node would drop what is beyond, unsaid; their size is limited
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.requestTimeout = 0; // an upload may take any time
  return server;
}

/** Logs at most one line a second with the number of refusals. */
function countedInLog(log: Logger, message: string): () => void {
  let count = 0;
  const write = (): void => {
    log.warn({ refused: count }, message);
    count = 0;
  };
  return () => {
    if (count++ === 0) setTimeout(write, LOG_EVERY_MS).unref();
  };
}
