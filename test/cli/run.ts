import { execFile, spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { packageFile } from '../../src/package-root.js';

export interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

const MAIN = packageFile('dist', 'src', 'main.js');

/** Nothing of this shell's settings. */
export const bare = (environment: Record<string, string>): NodeJS.ProcessEnv => ({ PATH: process.env.PATH, HOME: process.env.HOME, ...environment });

/** Runs the program as a shell would, without a terminal. */
export const runCli = (args: readonly string[], environment: Record<string, string> = {}, main = MAIN): Promise<Ran> =>
  new Promise((resolve) => {
    const child = execFile(process.execPath, [main, ...args], { env: bare(environment) }, (_, stdout, stderr) =>
      resolve({ code: child.exitCode, stdout, stderr }),
    );
  });

/** @param under a program that starts it, with its arguments */
export function startCli(
  args: readonly string[],
  environment: Record<string, string>,
  options: SpawnOptions = {},
  under: readonly string[] = [],
): ChildProcess {
  const [program = process.execPath, ...rest] = [...under, process.execPath, MAIN, ...args];
  return spawn(program, rest, { env: bare(environment), stdio: ['ignore', 'pipe', 'pipe'], ...options });
}
