import { openSync } from 'node:fs';
import { InputError, messageOf } from '../errors.js';

/** SGR codes. */
const COLOURS = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;
export type Colour = keyof typeof COLOURS;

/** Only where a terminal reads it; Node looks at NO_COLOR, FORCE_COLOR and TERM. */
const hasColours = (stream: NodeJS.WriteStream): boolean => stream.isTTY && stream.hasColors();

export const paint = (stream: NodeJS.WriteStream, colour: Colour, text: string): string =>
  hasColours(stream) ? `\u001b[${COLOURS[colour]}m${text}\u001b[0m` : text;

export interface OutputOptions {
  json?: boolean;
  quiet?: boolean;
}

/** The result of a command: text for people, one line of JSON for programs, nothing for those who only want the exit code. */
export function printResult({ json, quiet }: OutputOptions, text: () => string, value: () => unknown): void {
  if (json === true) process.stdout.write(`${JSON.stringify(value())}\n`);
  else if (quiet !== true) process.stdout.write(text());
}

export const printError = (message: string): void => void process.stderr.write(`${paint(process.stderr, 'red', 'error:')} ${message}\n`);

/** The descriptor of a file that an option names. @throws InputError when it cannot be written: told before the work that would be lost */
export function openToAppend(option: string, file: string): number {
  try {
    return openSync(file, 'a');
  } catch (error) {
    throw new InputError(`${option} ${file} cannot be written: ${messageOf(error)}`, { cause: error });
  }
}

/** Under the help of a command. */
export function examples(...lines: readonly [command: string, meaning: string][]): string {
  const width = Math.max(...lines.map(([command]) => command.length));
  return `\nExamples:\n${lines.map(([command, meaning]) => `  ${command.padEnd(width)}   ${meaning}`.trimEnd()).join('\n')}\n`;
}
