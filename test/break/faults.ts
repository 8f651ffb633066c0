import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { packageFile } from '../../src/package-root.js';

/** Fields of the page that faults.c reads, 64 bits each. */
const FIELDS = ['calls', 'injected', 'kill_at', 'torn', 'lose', 'io_error', 'full', 'short_write', 'read_error', 'seed', 'clock_seconds'] as const;

export interface Plan {
  /** The process ends with SIGKILL at this call that changes files, from 1. 0: never. */
  kill_at?: number;
  /** 1: half of the write at which the process ends reaches the file. */
  torn?: 0 | 1;
  /** 1: the end takes back writes that were not synced, as a power cut can. Some last ones of each file, by the seed. */
  lose?: 0 | 1;
  /** Calls in a million that fail with EIO. */
  io_error?: number;
  /** Calls in a million that fail with ENOSPC. */
  full?: number;
  /** Calls in a million that write half of their bytes. */
  short_write?: number;
  /** Reads in a million that fail with EIO. */
  read_error?: number;
  seed?: number;
  /** What the wall clock is ahead. */
  clock_seconds?: number;
}

export interface Faults {
  /** For the process that is to meet the faults. */
  environment: Record<string, string>;
  /** Replaces the plan at once, also of a running process; the counts begin anew. */
  plan(plan: Plan): void;
  /** Number of calls that changed files, or tried to, since the last plan. */
  calls(): number;
  /** Number of calls that were made to fail since the last plan. */
  injected(): number;
}

/** Compiles the library with the machine's C compiler. */
function compile(folder: string): string {
  const file = join(folder, 'faults.so');
  execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', file, packageFile('test', 'break', 'faults.c'), '-ldl', '-lpthread']);
  return file;
}

/** @param toolFolder folder for the library and the page @param under only files below this folder, by its real path, meet faults */
export function openFaults(toolFolder: string, under: string): Faults {
  const library = compile(toolFolder);
  const page = join(toolFolder, 'faults.page');
  writeFileSync(page, Buffer.alloc(FIELDS.length * 8));
  const read = (field: (typeof FIELDS)[number]): number => {
    const bytes = Buffer.alloc(8);
    const descriptor = openSync(page, 'r');
    readSync(descriptor, bytes, 0, 8, FIELDS.indexOf(field) * 8);
    closeSync(descriptor);
    return Number(bytes.readBigInt64LE());
  };
  return {
    environment: { LD_PRELOAD: library, FAULTS_CONTROL: page, FAULTS_UNDER: under, UV_USE_IO_URING: '0' },
    plan: (plan) => {
      const bytes = Buffer.alloc(FIELDS.length * 8);
      for (const [field, value] of Object.entries(plan)) bytes.writeBigInt64LE(BigInt(value), FIELDS.indexOf(field as keyof Plan) * 8);
      const descriptor = openSync(page, 'r+'); // the same file: processes have mapped it
      writeSync(descriptor, bytes, 0, bytes.length, 0);
      closeSync(descriptor);
    },
    calls: () => read('calls'),
    injected: () => read('injected'),
  };
}
