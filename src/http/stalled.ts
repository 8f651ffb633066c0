import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

export interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
  /** Bytes that the connection had received at the last check; null: not checked yet. */
  received: number | null;
  /** Told instead of a refusal when the caller ends the body too early: what has come of it was taken already. */
  onCut?: (error: Error) => void;
}

export interface StallLimits {
  /** Interval of the checks, ms. */
  windowMs: number;
  /** A body of which less arrives between two checks has stalled. */
  minBytes: number;
}

const LIMITS: StallLimits = { windowMs: 120_000, minBytes: 1024 };

const exchanges = new WeakMap<Socket, Exchange>();

/** The exchange of a connection that is not over: its body has not arrived, or its answer is not out. */
export function openExchange(socket: Socket): Exchange | null {
  const exchange = exchanges.get(socket);
  return exchange === undefined || (exchange.request.complete && exchange.response.writableFinished) ? null : exchange;
}

/** Lets a request answer for itself what has come of a body that is cut off. */
export function answersCut({ socket }: IncomingMessage, onCut: (error: Error) => void): void {
  const exchange = exchanges.get(socket);
  if (exchange !== undefined) exchange.onCut = onCut;
}

/**
 * Ends connections that make no progress: a body that does not arrive while the server waits for it (408), an answer that is not read, and
 * one that is idle. An upload that progresses may take any time.
 */
export function endStalled(server: Server, { windowMs, minBytes }: StallLimits = LIMITS): Server {
  const connections = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
  });
  server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
    exchanges.set(request.socket, { request, response, received: null });
  });
  const check = setInterval(() => {
    for (const socket of connections) {
      const exchange = openExchange(socket);
      if (exchange === null || exchange.request.complete) continue;
      const { received, request } = exchange;
      exchange.received = socket.bytesRead;
      // what the server has not taken yet holds the caller back
      if (received === null || request.readableLength > 0 || socket.bytesRead - received >= minBytes) continue;
      const error = Object.assign(new Error('the body did not arrive'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });
      if (!server.emit('clientError', error, socket)) socket.destroy();
    }
  }, windowMs).unref();
  server.once('close', () => clearInterval(check));

  // Node calls this after a time without traffic, also for idle connections, and then closes none by itself
  return server.setTimeout(windowMs, (socket: Socket) => {
    const exchange = openExchange(socket);
    if (exchange !== null && exchange.response.listenerCount('timeout') > 0) return; // has its own rule, see unread.ts
    if (exchange === null || socket.writableLength > 0) socket.destroy();
    else socket.setTimeout(windowMs); // the server is at work, or the check above decides
  });
}
