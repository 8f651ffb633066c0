import type { Check, CheckStatus } from '../maintenance/doctor/check.js';
import { EXIT } from './exit-codes.js';
import type { AddCommand } from './command.js';
import { examples, paint, printResult, type Colour, type OutputOptions } from './terminal.js';

const MARKS: Record<CheckStatus, [mark: string, colour: Colour]> = {
  ok: ['ok', 'green'],
  warning: ['warning', 'yellow'],
  failed: ['FAILED', 'red'],
  skipped: ['-', 'dim'],
};

export const addDoctor: AddCommand = (program, finish) => {
  program
    .command('doctor')
    .description('check everything that a start needs and say how to fix what is missing; changes nothing')
    .option('--json', 'print the checks as one JSON line')
    .option('--quiet', 'print failed checks only')
    .addHelpText(
      'after',
      examples(
        ['reelfuse doctor', 'with the settings of this shell'],
        ['REELFUSE_MODEL_DIR=runs/new reelfuse doctor', 'checks whether this model can serve here'],
        ['reelfuse doctor --json | jq .checks', 'for a script'],
      ),
    )
    .action(async (options: OutputOptions) => {
      const { examine } = await import('../maintenance/doctor/doctor.js');
      const checks = await examine(async () => (await import('../composition/embedded-probes.js')).embeddedProbes);
      const isWell = checks.every(({ status }) => status !== 'failed');
      if (options.quiet === true && options.json !== true) process.stdout.write(report(checks.filter(({ status }) => status === 'failed')));
      else
        printResult(
          options,
          () => `${report(checks)}\n${summary(checks)}\n`,
          () => ({ ok: isWell, checks }),
        );
      finish(isWell ? EXIT.done : EXIT.partly);
    });
};

function report(checks: readonly Check[]): string {
  const width = Math.max(0, ...checks.map(({ name }) => name.length));
  return checks
    .map(({ name, status, detail, advice }) => {
      const [mark, colour] = MARKS[status];
      const line = `${paint(process.stdout, colour, mark.padEnd(7))}  ${name.padEnd(width)}  ${detail}\n`;
      return advice === null ? line : `${line}${' '.repeat(width + 9)}  → ${advice}\n`;
    })
    .join('');
}

function summary(checks: readonly Check[]): string {
  const count = (wanted: CheckStatus): number => checks.filter(({ status }) => status === wanted).length;
  const [bad, warned, left] = [count('failed'), count('warning'), count('skipped')];
  if (bad === 0) return warned === 0 ? 'a start has all it needs' : `a start has all it needs; ${warned} to be thought about`;
  return `${bad} of ${checks.length} checks failed${left === 0 ? '' : `, ${left} could not be made`}`;
}
