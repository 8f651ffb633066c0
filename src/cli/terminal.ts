import { InputError, messageOf } from '../errors.js';
import { openWhole, type WholeFile } from '../files.js';

/** SGR codes. */
const COLOURS = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;
export type Colour = keyof typeof COLOURS;

/** Whether the stream is a terminal with colours; Node evaluates NO_COLOR, FORCE_COLOR and TERM. */
const hasColours = (stream: NodeJS.WriteStream): boolean => stream.isTTY && stream.hasColors();

export const paint = (stream: NodeJS.WriteStream, colour: Colour, text: string): string =>
  hasColours(stream) ? `\u001b[${COLOURS[colour]}m${text}\u001b[0m` : text;

export interface OutputOptions {
  json?: boolean;
  quiet?: boolean;
}

/** Prints the result of a command: text, one line of JSON with `json`, or nothing with `quiet`. */
export function printResult({ json, quiet }: OutputOptions, text: () => string, value: () => unknown): void {
  if (json === true) process.stdout.write(`${JSON.stringify(value())}\n`);
  else if (quiet !== true) process.stdout.write(text());
}

export const printError = (message: string): void => void process.stderr.write(`${paint(process.stderr, 'red', 'error:')} ${message}\n`);

/** Opens the file of an option, before the work begins. @throws InputError when it cannot be written */
export function openOutput(option: string, file: string): WholeFile {
  try {
    return openWhole(file);
  } catch (error) {
    throw new InputError(`${option} ${file} cannot be written: ${messageOf(error)}`, { cause: error });
  }
}

/** Text of the examples in the help of a command. */
export function examples(...lines: readonly [command: string, meaning: string][]): string {
  const width = Math.max(...lines.map(([command]) => command.length));
  return `\nExamples:\n${lines.map(([command, meaning]) => `  ${command.padEnd(width)}   ${meaning}`.trimEnd()).join('\n')}\n`;
}
