import { createServer } from 'node:net';
import { failed, ok, type Check } from './check.js';

const NAME = 'port';
const ASK_MS = 2000;

/** Checks the address by listening on it for a moment. */
export async function checkPort(host: string, port: number): Promise<Check> {
  const problem = await new Promise<NodeJS.ErrnoException | null>((resolve) => {
    const server = createServer();
    server.once('error', resolve);
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
  if (problem === null) return ok(NAME, port === 0 ? `a free one of ${host} is taken at the start` : `${host}:${port} is free`);
  return portProblem(problem, host, port);
}

/** Why an address cannot be listened on. */
export async function portProblem(problem: NodeJS.ErrnoException, host: string, port: number): Promise<Check> {
  const address = `${host}:${port}`;
  switch (problem.code) {
    case 'EADDRINUSE':
      return (await isReelfuse(host, port))
        ? failed(NAME, `${address} is taken by a reelfuse server`, 'nothing, if that is the one you mean; else stop it, or set REELFUSE_PORT')
        : failed(NAME, `${address} is taken by another program`, 'stop it, or set REELFUSE_PORT; 0 takes a free one and prints it');
    case 'EACCES':
      return failed(NAME, `${address} may not be listened on by this user`, 'set REELFUSE_PORT to 1024 or above');
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EINVAL':
      return failed(NAME, `${host} is no address of this machine`, 'set REELFUSE_HOST to one that is; 0.0.0.0 is all of them');
    default:
      return failed(NAME, `${address} cannot be listened on: ${problem.message}`, 'set REELFUSE_HOST and REELFUSE_PORT');
  }
}

async function isReelfuse(host: string, port: number): Promise<boolean> {
  try {
    const answer = await fetch(`http://${host.includes(':') ? `[${host}]` : host}:${port}/livez`, { signal: AbortSignal.timeout(ASK_MS) });
    return ((await answer.json()) as { status?: unknown } | null)?.status === 'live';
  } catch {
    return false; // whatever it is, it does not answer as one
  }
}
