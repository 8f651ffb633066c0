import type { Command } from 'commander';

/** Adds a command to the program. What it runs is loaded when it runs: help and doctor must work where the native parts do not. */
export type AddCommand = (program: Command, finish: (exitCode: number) => void) => void;
