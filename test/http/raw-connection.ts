import { once } from 'node:events';
import { connect, type AddressInfo, type Socket } from 'node:net';
import type { TypedApp } from '../../src/http/typed-app.js';

export interface RawAnswer {
  status: number;
  /** Names in lower case. */
  headers: Record<string, string>;
  body: string;
}

/** A listening server's port on loopback. */
export async function listening(app: TypedApp): Promise<number> {
  await app.listen({ host: '127.0.0.1', port: 0 });
  return (app.server.address() as AddressInfo).port;
}

/** Sends the text as it is and reads until the server closes. The caller itself never closes first. */
export async function exchange(port: number, text: string): Promise<RawAnswer> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.write(text, 'latin1');
  return answerOf(socket);
}

/** Reads until the server closes. */
export async function answerOf(socket: Socket): Promise<RawAnswer> {
  let received = '';
  socket.on('data', (chunk) => (received += chunk.toString('latin1')));
  await once(socket, 'end');
  socket.destroy();
  return parsed(received);
}

function parsed(received: string): RawAnswer {
  const [head = '', ...body] = received.split('\r\n\r\n');
  const [line = '', ...fields] = head.split('\r\n');
  const headers = fields.map((field): [string, string] => {
    const colon = field.indexOf(':');
    return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()];
  });
  return { status: Number(line.split(' ')[1]), headers: Object.fromEntries(headers), body: body.join('\r\n\r\n') };
}

/** A request as text; a header with several values comes several times. */
export function requestText(line: string, headers: Record<string, string | string[]> = {}, body = ''): string {
  const all = { host: 'x', connection: 'close', ...(body !== '' && { 'content-length': String(body.length) }), ...headers };
  const fields = Object.entries(all).flatMap(([name, values]) => [values].flat().map((value) => `${name}: ${value}\r\n`));
  return `${line} HTTP/1.1\r\n${fields.join('')}\r\n${body}`;
}
