import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Time that callers have to read their last answer after `close`. */
const FETCH_MS = 10_000;

interface Connection {
  /** Answers that are not handed to the network yet. */
  open: number;
  /** The newest of them. */
  latest: ServerResponse | null;
}

/**
 * Lets `close` end a server when its last answer is handed to the network. Node's own implementation has two faults: it cuts off
 * answers that are not sent yet, and it keeps a connection that answers after the call until its idle timeout.
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
    if (connection === undefined) return; // it has closed already
    connection.open++;
    connection.latest = response;
    response.once('close', () => {
      connection.open--;
      connection.latest = null;
      if (isClosing && connection.open === 0) socket.destroySoon();
    });
  });
  // `server.close` calls this method
  server.closeIdleConnections = () => {
    isClosing = true;
    for (const [socket, { open, latest }] of connections) {
      if (open === 0) socket.destroySoon();
      if (latest === null) continue;
      if (!latest.headersSent) latest.shouldKeepAlive = false; // the answer says so by `connection: close`
      if (latest.writableEnded) limit(socket);
      else latest.once('prefinish', () => limit(socket));
    }
  };
  return server;
}
