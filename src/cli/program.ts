import { Command, CommanderError } from 'commander';
import { ArtifactError, ConfigError, InputError } from '../errors.js';
import { addBackup, addRestore } from './backup.js';
import { addReport } from './report.js';
import { addDemo, addServe } from './serve.js';
import { addEvaluate } from './evaluate.js';
import { addImport } from './import.js';
import { addOpenapi } from './openapi.js';

/** Errors whose message says everything; a stack would only hide it. */
const EXPECTED = [ArtifactError, ConfigError, InputError];

/** @returns the exit code: 0 done, 1 done in part, 2 wrong use or input, 70 an error of this program */
export async function runCommand(argv: readonly string[]): Promise<number> {
  const program = new Command('reelfuse').description('Online recommendation server for micro-videos').exitOverride();
  let exitCode = 0;
  const finish = (code: number): void => {
    exitCode = code;
  };
  for (const add of [addServe, addDemo, addImport, addEvaluate, addReport, addBackup, addRestore, addOpenapi]) add(program, finish);
  try {
    await program.parseAsync([...argv]);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (EXPECTED.some((kind) => error instanceof kind)) {
      process.stderr.write(`error: ${(error as Error).message}\n`);
      return 2;
    }
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return 70;
  }
  return exitCode === 0 ? Number(process.exitCode ?? 0) : exitCode;
}

export type AddCommand = (program: Command, finish: (exitCode: number) => void) => void;
