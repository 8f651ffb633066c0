import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino, type Logger } from 'pino';
import { buildApp } from '../app.js';
import { systemClock } from '../clock.js';
import { serviceLinks, type Config } from '../config.js';
import { openServer, type Server } from '../composition/server.js';
import { checkPort, portProblem } from '../maintenance/doctor/port.js';
import { refuseFailed } from '../maintenance/doctor/refusal.js';
import { endBy, exitCodeOf, ignoreHangUp, takeSignals, type Signals } from './signals.js';
import { tellSupervisor } from './supervisor.js';

/** Time for a catalogue that is being loaded to be given up, when a signal comes. */
const LOAD_END_MS = 5000;

/** Serves the bundled demo from a temporary folder, which is deleted afterwards. */
export async function serveDemo(config: Config): Promise<void> {
  const signals = takeSignals(); // from the beginning: the default action would leave the folder behind
  const dataDir = mkdtempSync(join(tmpdir(), 'reelfuse-demo-'));
  try {
    await serve({ ...config, dataDir, modelDir: '' }, signals);
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/**
 * Resolves after a signal has ended the server and everything is closed. Until it listens, it has acknowledged nothing, and signals have
 * their default action: a migration or the counting of events may occupy the thread for minutes. The first process of a container has
 * no default action, so there the signal is obeyed between two steps of the start.
 */
export async function serve(config: Config, early: Signals | null = process.pid === 1 ? takeSignals() : null): Promise<void> {
  const log = pino({ level: config.logLevel });
  ignoreHangUp(() => log.info('SIGHUP ignored: settings are read at the start only'));
  const links = serviceLinks();
  if (links.length > 0) log.info({ variables: links }, 'variables of an orchestrator for a service of this name: not settings, left alone');
  refuseFailed(await checkPort(config.host, config.port)); // before minutes of reading
  const server = await openUntil(early, config, log);
  if (server === null) return;
  try {
    const signals = early ?? takeSignals();
    const app = await buildApp(server, server.routes);
    try {
      process.stderr.write(`reelfuse listens on ${await listen(app, config)} (console at /, API at /docs)\n`);
      await loadUntil(signals, server);
      log.info({ signal: await signals.stopped }, 'stopping: no new requests, open ones are answered');
      void tellSupervisor('STOPPING=1', log);
    } finally {
      await app.close();
    }
  } finally {
    await server.close();
  }
}

/** Null: a signal that was taken early has ended the opening; the exit code says so. */
async function openUntil(early: Signals | null, config: Config, log: Logger): Promise<Server | null> {
  try {
    return await openServer(config, log, systemClock, early?.abort);
  } catch (error) {
    if (early?.abort.aborted !== true || error !== early.abort.reason) throw error;
    process.exitCode = exitCodeOf(await early.stopped);
    return null;
  }
}

/** @returns the URL @throws StartError when the address cannot be listened on */
async function listen(app: Awaited<ReturnType<typeof buildApp>>, { host, port }: Config): Promise<string> {
  try {
    return await app.listen({ host, port });
  } catch (error) {
    refuseFailed(await portProblem(error as NodeJS.ErrnoException, host, port));
    throw error;
  }
}

/** Loads the catalogue. A signal ends the loading early: fusing a million items can take hours. */
async function loadUntil({ stopped, abort }: Signals, server: Server): Promise<void> {
  // a graph that is being read cannot be interrupted; while the catalogue loads, closing has nothing to save
  void stopped.then((name) => server.isReady() || setTimeout(endBy, LOAD_END_MS, name).unref());
  try {
    await server.load(abort);
  } catch (error) {
    if (abort.aborted) return;
    throw error;
  }
  await announce(server, server.log);
}

async function announce(server: Server, log: Logger): Promise<void> {
  process.stderr.write(`reelfuse is ready: ${(await server.generations.current.catalogue.status()).size} items\n`);
  void tellSupervisor('READY=1', log);
}
