import { once } from 'node:events';
import { createServer, request as forward, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';

/** What becomes of a request instead of being passed on, or after it. */
export type Fault =
  | { kind: 'answer'; status: number; headers?: Record<string, string>; body?: string }
  /** It is done behind the proxy, and the connection breaks before the answer. */
  | { kind: 'answer lost' };

export interface FaultyProxy {
  url: string;
  /** One a request, first come first served; when they are used up, requests are passed on. A client in another process puts them to /faults. */
  faults: Fault[];
  requests: { method: string; url: string; headers: IncomingMessage['headers'] }[];
}

/** Stands before a server and does what networks and loaded servers do. */
export async function startFaultyProxy(t: Pick<TestContext, 'after'>, target: string): Promise<FaultyProxy> {
  const proxy: FaultyProxy = { url: '', faults: [], requests: [] };
  const server = createServer((request, response) => {
    const { method = '', url = '', headers } = request;
    if (url === '/faults') {
      void text(request).then((given) => {
        proxy.faults = JSON.parse(given) as Fault[];
        response.end();
      });
      return;
    }
    proxy.requests.push({ method, url, headers });
    const fault = proxy.faults.shift();
    if (fault?.kind === 'answer') {
      request.resume();
      request.once('end', () => response.writeHead(fault.status, fault.headers).end(fault.body));
    } else passOn(target, request, response, fault !== undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  proxy.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return proxy;
}

function passOn(target: string, request: IncomingMessage, response: ServerResponse, loseAnswer: boolean): void {
  const onward = forward(
    new URL(request.url ?? '/', target),
    { method: request.method ?? 'GET', headers: request.headers, agent: false },
    (answer) => {
      if (!loseAnswer) {
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(response);
        return;
      }
      answer.resume();
      answer.once('end', () => response.destroy());
    },
  );
  onward.once('error', () => response.destroy());
  request.pipe(onward);
}
