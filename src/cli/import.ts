import type { AddCommand } from './command.js';
import type { ImportOptions } from './run-import.js';
import { examples } from './terminal.js';

export const addImport: AddCommand = (program, finish) => {
  program
    .command('import')
    .description('load a catalogue and a history into REELFUSE_DATA_DIR; no server can run on it meanwhile')
    .option(
      '--items <file>',
      'items as .jsonl, .ndjson or .csv (columns item_id,title,author_id,…; other columns are attributes, NAME:number|boolean|time|strings)',
    )
    .option(
      '--features <path>',
      'hidden states of the items, [items, layers, hidden size]: a safetensors file with the tensor hidden_states, a file of numpy.save, or the folder of an extraction',
    )
    .option('--history <file>', 'events as .jsonl, .ndjson or .csv, or as .tsv lines user<TAB>item item …')
    .option('--rejects <file>', 'append each rejected row with its reasons to this file, as JSON lines')
    .option('--restart', 'start with the first row instead of resuming an earlier import of the same file')
    .option('--json', 'print the result as one JSON line')
    .option('--quiet', 'print errors only, no progress')
    .addHelpText(
      'after',
      examples(
        ['reelfuse import --items items.jsonl --features states.safetensors', 'loads a catalogue'],
        ['reelfuse import --history pairs.tsv', 'loads what users watched'],
        ['reelfuse import --items items.csv --rejects bad.jsonl', 'writes rejected rows with their reasons to bad.jsonl'],
      ) + '\nAfter an interruption, even by kill -9 or a power cut, the same command continues where the import stopped.\n',
    )
    .action(async (options: ImportOptions) => {
      const { runImport } = await import('./run-import.js');
      finish(await runImport(options));
    });
};
