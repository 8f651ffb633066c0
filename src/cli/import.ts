import type { AddCommand } from './program.js';
import { examples, type OutputOptions } from './terminal.js';

export interface ImportOptions extends OutputOptions {
  items?: string;
  features?: string;
  history?: string;
  rejects?: string;
  restart?: boolean;
}

export const addImport: AddCommand = (program, finish) => {
  program
    .command('import')
    .description('load a catalogue and a history into REELFUSE_DATA_DIR; the server must not be running on it')
    .option(
      '--items <file>',
      'items: .jsonl, .ndjson or .csv (columns item_id,title,author_id,…; others become attributes, NAME:number|boolean|list)',
    )
    .option(
      '--features <path>',
      'hidden states of the items: safetensors, tensor hidden_states [items, layers, hidden size], or the folder of an extraction',
    )
    .option('--history <file>', 'events: .jsonl, .ndjson or .csv, or .tsv lines user<TAB>item item …')
    .option('--rejects <file>', 'add every rejected row with its reasons to this file, as JSON lines')
    .option('--restart', 'begin with the first row, though an earlier import of the same file came further')
    .option('--json', 'print one JSON line when it is over')
    .option('--quiet', 'print no progress and nothing but errors')
    .addHelpText(
      'after',
      examples(
        ['reelfuse import --items items.jsonl --features states.safetensors', 'a catalogue'],
        ['reelfuse import --history pairs.tsv', 'what users watched'],
        ['reelfuse import --items items.csv --rejects bad.jsonl', 'rows that cannot be read are kept with the reasons'],
      ) + '\nAn import that was stopped, even by kill -9 or a power cut, goes on where it was when the same command is given again.\n',
    )
    .action(async (options: ImportOptions) => {
      const { runImport } = await import('./run-import.js');
      finish(await runImport(options));
    });
};
