import type { Command } from 'commander';

/** Adds a command to the program. Its code is imported when it runs: help and doctor must work when native parts do not load. */
export type AddCommand = (program: Command, finish: (exitCode: number) => void) => void;
