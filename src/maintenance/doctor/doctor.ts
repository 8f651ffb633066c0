import { readFileSync } from 'node:fs';
import { packageFile } from '../../package-root.js';
import { readConfig, settingsInUse, type Config } from '../../config.js';
import { messageOf } from '../../errors.js';
import { ADVICE } from './advice.js';
import { failed, ok, skipped, type Check } from './check.js';
import type { EngineProbes } from './engines.js';
import { checkDataFolder, checkDiskSpace } from './data-folder.js';
import { checkNativeParts } from './native-parts.js';
import { checkPort } from './port.js';

const SETTINGS = 'settings';
const NATIVE = 'native parts';
const NEEDS_SETTINGS = ['data folder', 'disk space', 'port'];
const NEEDS_ENGINES = ['data files', 'data lock', 'database', 'model files', 'memory', 'model engines'];

/**
 * Checks everything that a start needs, in the order in which it is needed. Nothing is changed.
 * @param loadProbes loads the native parts into this process; called only when they are known to load
 */
export async function examine(loadProbes: () => Promise<EngineProbes>, environment?: NodeJS.ProcessEnv): Promise<Check[]> {
  const { check, config } = checkSettings(environment);
  const native = await checkNativeParts();
  const first = [checkNode(process.version), ...native, check];
  if (config === null) return [...first, ...[...NEEDS_SETTINGS, ...NEEDS_ENGINES].map((name) => skipped(name, SETTINGS))];
  const folder = checkDataFolder(config.dataDir);
  const surroundings = [folder, checkDiskSpace(config.dataDir), await checkPort(config.host, config.port)];
  const missing = native.some(({ status }) => status === 'failed') ? NATIVE : folder.status === 'failed' ? folder.name : null;
  if (missing !== null) return [...first, ...surroundings, ...NEEDS_ENGINES.map((name) => skipped(name, missing))];
  const { checkEngines } = await import('./engines.js');
  return [...first, ...surroundings, ...(await checkEngines(config, await loadProbes()))];
}

function checkSettings(environment: NodeJS.ProcessEnv | undefined): { check: Check; config: Config | null } {
  try {
    const config = readConfig(environment);
    const used = settingsInUse(environment);
    const detail = used.length === 0 ? 'none is set: every default holds' : `${used.join(', ')}; the others have their defaults`;
    return { check: ok(SETTINGS, detail), config };
  } catch (error) {
    return { check: failed(SETTINGS, messageOf(error), ADVICE.settings), config: null };
  }
}

/** By the package's own `engines`. */
export function checkNode(version: string): Check {
  const { engines } = JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as { engines: { node: string } };
  const wanted = engines.node.replace('>=', '');
  if (version.replace('v', '').localeCompare(wanted, 'en', { numeric: true }) < 0)
    return failed('node', `${version} is older than ${wanted}`, `install Node ${wanted} or later, and run npm ci again`);
  return ok('node', `${version} at ${process.execPath}`);
}
