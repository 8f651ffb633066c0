// What a container's health check runs: 0 when the server on this machine is ready to answer.
import process from 'node:process';
import { readConfig } from '../dist/src/config.js';

const { host, port } = readConfig();
const address = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host;
try {
  const { status } = await fetch(`http://${address}:${port}/readyz`);
  if (status !== 200) throw new Error(`/readyz is answered by ${status}`);
} catch (error) {
  process.stderr.write(`${error.cause?.message ?? error.message}\n`);
  process.exitCode = 1;
}
