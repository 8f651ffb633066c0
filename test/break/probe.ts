import { rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';
import { writeHeapSnapshot } from 'node:v8';

// Loaded by --import into a server under trial. Answers each connection to its socket with the figures since the last one.

export interface Probe {
  /** The longest turn of the event loop since the last reading, ms. */
  loop_ms: number;
  memory: NodeJS.MemoryUsage;
}

const RESOLUTION_MS = 5;

const path = process.env.BREAK_PROBE;
if (path !== undefined && isMainThread) {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  rmSync(path, { force: true });
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    setTimeout(() => {
      // the turn before this one counts too
      const probe: Probe = { loop_ms: Math.max(0, delay.max / 1e6 - RESOLUTION_MS), memory: process.memoryUsage() };
      delay.reset();
      socket.end(JSON.stringify(probe));
    }, 2 * RESOLUTION_MS);
  });
  server.listen(path);
  server.unref();
  const folder = process.env.BREAK_HEAP_FOLDER;
  if (folder !== undefined) process.on('SIGUSR2', () => writeHeapSnapshot(`${folder}/${Date.now()}.heapsnapshot`));
}
