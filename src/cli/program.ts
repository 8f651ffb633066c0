import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { ArtifactError, ConfigError, InputError, ServerError, StartError, isUnloadable, messageOf } from '../errors.js';
import { storageFaultOf } from '../storage-faults.js';
import { packageFile } from '../package-root.js';
import { addBackup, addRestore } from './backup.js';
import type { AddCommand } from './command.js';
import { addDoctor } from './doctor.js';
import { addEvaluate } from './evaluate.js';
import { EXIT, EXIT_CODES } from './exit-codes.js';
import { addImport } from './import.js';
import { addOpenapi } from './openapi.js';
import { addReport } from './report.js';
import { addDemo, addServe } from './serve.js';
import { examples, paint, printError } from './terminal.js';

/** Errors that are printed without a stack: their message is enough. */
const EXPECTED: readonly [kind: new (...given: never[]) => Error, exitCode: number][] = [
  [ArtifactError, EXIT.usage],
  [ConfigError, EXIT.usage],
  [InputError, EXIT.usage],
  [ServerError, EXIT.server],
];

/** Errors that native parts word, in several lines. A supervisor's log shows the last line. */
const isOfStart = (error: unknown): boolean => error instanceof ArtifactError || error instanceof StartError;

const ALL: readonly AddCommand[] = [addServe, addDemo, addDoctor, addImport, addEvaluate, addReport, addBackup, addRestore, addOpenapi];

const exitCodes = (): string => `\nExit codes:\n${EXIT_CODES.map(([code, meaning]) => `  ${String(code).padEnd(5)}${meaning}`).join('\n')}\n`;

export function createProgram(finish: (exitCode: number) => void): Command {
  const { version } = JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as { version: string };
  const program = new Command('reelfuse')
    .description('Online recommendation server for micro-videos')
    .version(version, '--version', 'print the version')
    .configureHelp({ styleTitle: (title) => paint(process.stdout, 'bold', title) })
    .showHelpAfterError('(--help shows how it is used)')
    .exitOverride()
    .addHelpText(
      'after',
      examples(
        ['reelfuse demo', 'runs the demo in a temporary folder'],
        ['reelfuse doctor', 'checks what a start needs'],
        ['reelfuse import --items items.jsonl --features states.safetensors', 'loads a catalogue'],
        ['reelfuse serve', 'runs the server; settings are REELFUSE_… variables'],
      ) + exitCodes(),
    );
  for (const add of ALL) add(program, finish);
  return program;
}

/** @returns the exit code, see EXIT_CODES */
export async function runCommand(argv: readonly string[]): Promise<number> {
  let exitCode: number = EXIT.done;
  const program = createProgram((code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...argv]);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    const [, expected] = EXPECTED.find(([kind]) => error instanceof kind) ?? [];
    if (expected !== undefined) {
      printError(isOfStart(error) ? messageOf(error).replaceAll(/\s*\n\s*/g, ' ') : messageOf(error));
      return expected;
    }
    if (storageFaultOf(error) !== null) {
      printError(messageOf(error));
      return EXIT.disk;
    }
    if (isUnloadable(error)) {
      const { describeUnloadable } = await import('../maintenance/doctor/native-parts.js');
      printError(describeUnloadable(messageOf(error)));
      return EXIT.failed;
    }
    printError(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return EXIT.failed;
  }
  return exitCode === EXIT.done ? Number(process.exitCode ?? EXIT.done) : exitCode;
}
