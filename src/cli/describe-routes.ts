import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { stringify } from 'yaml';
import { buildApp } from '../app.js';
import { readConfig } from '../config.js';
import { openServices } from '../composition/embedded.js';

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
