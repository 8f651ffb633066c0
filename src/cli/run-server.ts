import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { buildApp } from '../app.js';
import type { Config } from '../config.js';
import { openServices } from '../services.js';

/** Of the bundled demo, in a folder that is thrown away. */
export async function serveDemo(config: Config): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'reelfuse-demo-'));
  try {
    await serve({ ...config, dataDir, modelDir: '' });
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** Resolves after a signal has ended the server and everything is closed. */
export async function serve(config: Config): Promise<void> {
  const log = pino({ level: config.logLevel });
  const stopped = nextSignal();
  const services = await openServices(config, log);
  try {
    const app = await buildApp(services);
    try {
      const url = await app.listen({ host: config.host, port: config.port });
      process.stderr.write(`reelfuse listens on ${url} (console at /, API at /docs)\n`);
      await services.load();
      process.stderr.write(`reelfuse is ready: ${services.generation.catalogue.size} items\n`);
      log.info({ signal: await stopped }, 'stopping: no new requests, open ones are answered');
    } finally {
      await app.close();
    }
  } finally {
    await services.close();
  }
}

const nextSignal = (): Promise<string> =>
  new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
  });
