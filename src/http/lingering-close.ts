import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** How long a caller may go on sending after the last answer of a connection was handed to the network. */
const LINGER_MS = 2000;

const discard = (): void => undefined;

/**
 * Delivers the last answer of a connection whose caller is still sending, as RFC 9112, section 9.6, recommends.
 * Node closes both directions at once. Data that arrives afterwards causes a TCP reset, and the caller may lose the answer.
 * This function ends the sending direction only. It discards incoming data until the caller has closed too, or `lingerMs` have passed.
 */
export function closeLingering(server: Server, lingerMs = LINGER_MS): Server {
  return server.on('connection', (socket: Socket) => {
    const closeAtOnce = socket.destroySoon.bind(socket);
    socket.destroySoon = () => {
      if (socket.readableEnded || socket.destroyed) {
        closeAtOnce();
        return;
      }
      // a `data` listener detaches the HTTP parser, which would read the next request
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
