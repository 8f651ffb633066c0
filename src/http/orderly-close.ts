import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** How long a caller may take to receive an answer that was written before the end, and to send the rest of a body. */
const FETCH_MS = 10_000;

interface Connection {
  /** Answers that the operating system does not have yet. */
  open: number;
  /** The newest of them. */
  latest: ServerResponse | null;
}

/**
 * Lets a server close as soon as the operating system has its last answer, and no sooner. Node's `close` would cut off answers that are
 * written but not sent yet, and keep a connection that answers after the call until its idle timeout.
 */
export function closeAnswered(server: Server, fetchMs = FETCH_MS): Server {
  const connections = new Map<Socket, Connection>();
  let isClosing = false;
  const limit = (socket: Socket): void => void setTimeout(() => socket.destroy(), fetchMs).unref();

  server.on('connection', (socket: Socket) => {
    connections.set(socket, { open: 0, latest: null });
    socket.once('close', () => connections.delete(socket));
  });
  server.prependListener('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    const connection = connections.get(socket);
    if (connection === undefined) return; // closed already
    connection.open++;
    connection.latest = response;
    response.once('close', () => {
      connection.open--;
      connection.latest = null;
      if (isClosing && connection.open === 0) socket.destroySoon();
    });
  });
  // `close` calls this
  server.closeIdleConnections = () => {
    isClosing = true;
    for (const [socket, { open, latest }] of connections) {
      if (open === 0) socket.destroySoon();
      if (latest === null) continue;
      // a body that does not come must not hold up the end
      if (!latest.req.complete) setTimeout(() => latest.req.complete || socket.destroy(), fetchMs).unref();
      if (!latest.headersSent) latest.shouldKeepAlive = false; // sends `connection: close`
      if (latest.writableEnded) limit(socket);
      else latest.once('prefinish', () => limit(socket));
    }
  };
  return server;
}
