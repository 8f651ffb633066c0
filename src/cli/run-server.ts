import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { buildApp } from '../app.js';
import type { Config } from '../config.js';
import { openEmbedded, type EmbeddedServer } from '../composition/embedded.js';

/** Serves the bundled demo from a temporary folder, which is deleted afterwards. */
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
  const server = await openEmbedded(config, log);
  try {
    const app = await buildApp(server, server.routes);
    try {
      const url = await app.listen({ host: config.host, port: config.port });
      process.stderr.write(`reelfuse listens on ${url} (console at /, API at /docs)\n`);
      await loadUntil(stopped, server);
      log.info({ signal: await stopped }, 'stopping: no new requests, open ones are answered');
    } finally {
      await app.close();
    }
  } finally {
    await server.close();
  }
}

/** Loads the catalogue. A signal ends the loading early: fusing a million items can take hours. */
async function loadUntil(stopped: Promise<string>, server: EmbeddedServer): Promise<void> {
  const stop = new AbortController();
  void stopped.then(() => stop.abort());
  try {
    await server.load(stop.signal);
  } catch (error) {
    if (stop.signal.aborted) return;
    throw error;
  }
  process.stderr.write(`reelfuse is ready: ${(await server.generations.current.catalogue.status()).size} items\n`);
}

const nextSignal = (): Promise<string> =>
  new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
  });
