import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { stringify } from 'yaml';
import { buildApp } from '../app.js';
import { readConfig } from '../config.js';
import { InputError } from '../errors.js';
import { packageFile } from '../package-root.js';
import { openServices } from '../services.js';
import type { AddCommand } from './program.js';

export const addOpenapi: AddCommand = (program, finish) => {
  program
    .command('openapi')
    .description('print the OpenAPI description that the routes give')
    .option('--write', 'write openapi/openapi.yaml')
    .option('--check', 'fail when openapi/openapi.yaml is not what the routes give')
    .action(async (options: { write?: true; check?: true }) => {
      const current = await describeRoutes();
      const file = packageFile('openapi', 'openapi.yaml');
      if (options.write) writeFileSync(file, current);
      else if (!options.check) process.stdout.write(current);
      else if (readFileSync(file, 'utf8') === current) process.stdout.write('openapi/openapi.yaml is up to date\n');
      else throw new InputError('openapi/openapi.yaml differs from the routes: run npm run openapi and commit it');
      finish(0);
    });
};

/** Boots the real routes over the bundled demo, in a folder that is thrown away. */
export async function describeRoutes(): Promise<string> {
  const dataDir = mkdtempSync(join(tmpdir(), 'reelfuse-openapi-'));
  try {
    const config = readConfig({ REELFUSE_DATA_DIR: dataDir, REELFUSE_RECOMMENDER_WORKERS: '1', REELFUSE_EXECUTION_PROVIDERS: 'cpu' });
    const services = await openServices(config, pino({ level: 'silent' }));
    try {
      const app = await buildApp(services);
      const description = app.swagger();
      await app.close();
      return stringify(description, { lineWidth: 120, aliasDuplicateObjects: false });
    } finally {
      await services.close();
    }
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}
