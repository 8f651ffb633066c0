import { describeSettings, readConfig } from '../config.js';
import { ADVICE, advised } from '../maintenance/doctor/advice.js';
import type { AddCommand } from './command.js';
import { examples } from './terminal.js';

const settingsHelp = (): string =>
  ['', 'Settings (environment):', ...describeSettings().map(({ name, fallback, doc }) => `  ${name}=${fallback}\n      ${doc}`)].join('\n');

export const addServe: AddCommand = (program) => {
  program
    .command('serve')
    .description('run the server; without a model and with an empty data folder it serves the bundled demo')
    .addHelpText(
      'after',
      examples(
        ['reelfuse serve', 'data in ./data, on http://127.0.0.1:8080'],
        ['REELFUSE_MODEL_DIR=runs/first REELFUSE_DATA_DIR=/srv/reels reelfuse serve', 'your model and your data'],
        ['REELFUSE_HOST=0.0.0.0 REELFUSE_API_KEYS_FILE=/run/secrets/keys reelfuse serve', 'reachable from other machines'],
      ) + settingsHelp(),
    )
    .action(async () => {
      const config = await advised(() => readConfig(), ADVICE.settings);
      const { serve } = await import('./run-server.js');
      await serve(config);
    });
};

export const addDemo: AddCommand = (program) => {
  program
    .command('demo')
    .description('serve the bundled demo from a temporary data folder')
    .addHelpText('after', examples(['reelfuse demo', 'console at http://127.0.0.1:8080'], ['REELFUSE_PORT=0 reelfuse demo', 'on a free port']))
    .action(async () => {
      const config = await advised(() => readConfig(), ADVICE.settings);
      const { serveDemo } = await import('./run-server.js');
      await serveDemo(config);
    });
};
