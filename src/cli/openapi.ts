import { readFileSync, writeFileSync } from 'node:fs';
import { InputError } from '../errors.js';
import { packageFile } from '../package-root.js';
import type { AddCommand } from './command.js';
import { examples } from './terminal.js';

export const addOpenapi: AddCommand = (program) => {
  program
    .command('openapi')
    .description('print the OpenAPI description that is generated from the routes')
    .option('--write', 'write openapi/openapi.yaml')
    .option('--check', 'fail when openapi/openapi.yaml differs from the routes')
    .addHelpText('after', examples(['reelfuse openapi > openapi.yaml', 'to generate a client in another language']))
    .action(async (options: { write?: true; check?: true }) => {
      const { describeRoutes } = await import('./describe-routes.js');
      const current = await describeRoutes();
      const file = packageFile('openapi', 'openapi.yaml');
      if (options.write) writeFileSync(file, current);
      else if (!options.check) process.stdout.write(current);
      else if (readFileSync(file, 'utf8') === current) process.stdout.write('openapi/openapi.yaml is up to date\n');
      else throw new InputError('openapi/openapi.yaml differs from the routes: run npm run openapi and commit it');
    });
};
