#!/usr/bin/env node
import { runCommand } from './cli/program.js';

/** Time for threads and connections to end after the command. */
const END_MS = 5000;

// the reader of a pipe has enough, as head does
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });

process.exitCode = await runCommand(process.argv);
// whatever a failed command has left open must not keep the process: its supervisor waits for the end
setTimeout(() => process.exit(), END_MS).unref();
