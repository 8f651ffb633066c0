import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** How long a caller may go on sending after the last answer of a connection was handed to the operating system. */
const LINGER_MS = 2000;

const discard = (): void => undefined;

/**
 * Lets the last answer of a connection arrive although its caller is still sending, as RFC 9112, section 9.6, asks.
 * Node would close both directions at once. Bytes that arrive then are answered by a reset, on which the caller may drop an answer that it
 * has not read. Here only the sending direction ends. Incoming bytes are discarded, unparsed, until the caller closes too or `lingerMs`
 * have passed.
 */
export function closeLingering(server: Server, lingerMs = LINGER_MS): Server {
  return server.on('connection', (socket: Socket) => {
    const closeAtOnce = socket.destroySoon.bind(socket);
    socket.destroySoon = () => {
      if (socket.readableEnded || socket.destroyed) {
        closeAtOnce();
        return;
      }
      // this listener takes the socket away from the HTTP parser, which would read on for another request
      socket.on('data', discard);
      for (const event of ['data', 'end'] as const) socket.removeAllListeners(event);
      socket.on('data', discard).resume();
      socket._read(0); // `resume` alone does not restart reading that the parser has stopped
      socket.once('end', closeAtOnce).end(() => {
        const timer = setTimeout(() => socket.destroy(), lingerMs);
        socket.once('close', () => clearTimeout(timer));
      });
    };
  });
}
