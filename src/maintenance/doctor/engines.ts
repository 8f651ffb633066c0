import { chooseModel } from '../../generations/model-choice.js';
import type { Config } from '../../config.js';
import { ArtifactError, ConfigError, InputError, StartError, messageOf } from '../../errors.js';
import { readArtifact, type Artifact } from '../../model/artifact.js';
import { failed, ok, skipped, warning, type Check } from './check.js';
import { checkDataFiles, checkFileAccess } from './data-files.js';
import { checkMemory, MEMORY, type CatalogueSize } from './memory.js';
import { ADVICE } from './advice.js';

const LOCK = 'data lock';
const DATABASE = 'database';
const MODEL = 'model files';
const TOWERS = 'model engines';

/** What the inspection of a database finds. */
export interface InspectedDatabase {
  schemaVersion: number;
  items: number;
  events: number;
  meta: ReadonlyMap<string, string>;
  /** Rows whose content is not what was written. */
  damaged: readonly { table: string; key: string }[];
}

/** Read-only checks of the engines that a start would use. The composition root makes it. */
export interface EngineProbes {
  /** Whether a process has ever locked the data folder. */
  wasLocked(dataDir: string): boolean;
  /** Locks the data folder and releases it. @throws InputError naming the process that holds the lock */
  tryLock(dataDir: string): void;
  /** Name of the database in the data folder. */
  databaseFile: string;
  /** Null: there is no database yet. @throws StartError when it is damaged, cannot be read, or is newer than this program */
  inspectDatabase(dataDir: string): InspectedDatabase | null;
  /** As `inspectDatabase`, of a database that servers share. @throws StartError, InputError when it cannot be used */
  inspectShared(url: string): Promise<InspectedDatabase>;
  /** What a catalogue of this many items takes here. */
  sizeOf(config: Config, artifact: Artifact, items: number): CatalogueSize;
  /** Bytes of memory that this process may use. */
  memoryLimit(): number;
  /** Opens the towers as a server would, checks the golden vectors, and closes them. @throws ArtifactError */
  tryTowers(config: Config, artifact: Artifact): Promise<{ itemTower: string; userTower: string; precision: string; passedOver: readonly string[] }>;
}

/** The checks that need the native parts: the files of the data folder, its lock, its database, and the model that a start would choose. */
export async function checkEngines(config: Config, probes: EngineProbes): Promise<Check[]> {
  const access = checkFileAccess(config.dataDir, probes.databaseFile);
  const lock = access.status === 'failed' ? skipped(LOCK, access.name) : checkLock(config.dataDir, probes);
  const files = lock.status === 'ok' ? checkDataFiles(config.dataDir, probes.databaseFile) : access;
  const isUsable = files.status !== 'failed';
  const { check: database, found } = isUsable ? await checkDatabase(config, probes) : { check: skipped(DATABASE, files.name), found: null };
  const isReadable = isUsable && database.status !== 'failed';
  const { check: model, artifact } = await checkModel(config, found, isReadable);
  if (artifact === null) return [files, lock, database, model, skipped(MEMORY, MODEL), skipped(TOWERS, MODEL)];
  const memory = isReadable
    ? checkMemory(probes.sizeOf(config, artifact, found?.items ?? 0), probes.memoryLimit())
    : skipped(MEMORY, isUsable ? DATABASE : files.name);
  return [files, lock, database, model, memory, await checkTowers(config, artifact, probes)];
}

function checkLock(dataDir: string, probes: EngineProbes): Check {
  if (!probes.wasLocked(dataDir)) return ok(LOCK, 'no process has had the folder yet');
  try {
    probes.tryLock(dataDir);
    return ok(LOCK, 'no process has the folder');
  } catch (error) {
    return failed(LOCK, messageOf(error), 'nothing, if that is the server you mean; two cannot share a folder');
  }
}

async function checkDatabase({ dataDir, databaseUrl }: Config, probes: EngineProbes): Promise<{ check: Check; found: InspectedDatabase | null }> {
  try {
    const found = databaseUrl === '' ? probes.inspectDatabase(dataDir) : await probes.inspectShared(databaseUrl);
    if (found === null) return { check: ok(DATABASE, 'none yet: the first start makes it'), found };
    const { schemaVersion, items, events, damaged } = found;
    const detail = `${items} items, ${events} events, schema version ${schemaVersion}`;
    return { check: damaged.length === 0 ? ok(DATABASE, detail) : warning(DATABASE, `${detail}; ${describeDamage(damaged)}`, MEND), found };
  } catch (error) {
    if (error instanceof StartError) return { check: failed(DATABASE, error.detail, error.advice), found: null };
    if (error instanceof InputError) return { check: failed(DATABASE, error.message, ADVICE.sharedDatabase), found: null };
    throw error;
  }
}

const MEND = 'send the items of damaged rows again; vectors are made anew by the next start';
const SHOWN_ROWS = 5;

function describeDamage(damaged: InspectedDatabase['damaged']): string {
  const shown = damaged.slice(0, SHOWN_ROWS).map(({ table, key }) => `${table} of ${JSON.stringify(key)}`);
  const more = damaged.length > SHOWN_ROWS ? `, and ${damaged.length - SHOWN_ROWS} more` : '';
  return `${damaged.length} damaged ${damaged.length === 1 ? 'row' : 'rows'}: ${shown.join(', ')}${more}`;
}

async function checkModel(
  { modelDir }: Config,
  found: InspectedDatabase | null,
  isReadable: boolean,
): Promise<{ check: Check; artifact: Artifact | null }> {
  if (!isReadable && modelDir === '') return { check: skipped(MODEL, DATABASE), artifact: null };
  try {
    const { folder } = await chooseModel(modelDir, {
      keyValues: { get: async (key) => found?.meta.get(key) ?? null, set: () => Promise.reject(new Error('a look changes nothing')) },
      items: { list: async () => (found === null || found.items === 0 ? [] : [found]) },
    });
    const artifact = await readArtifact(folder);
    const { name, version, variant, dim } = artifact.manifest;
    const what = `${name} ${version} (${variant}, ${dim} dimensions, ${artifact.fingerprint.slice(0, 12)})`;
    return { check: ok(MODEL, `${what} in ${artifact.folder}: every digest holds`), artifact };
  } catch (error) {
    if (error instanceof ConfigError) return { check: failed(MODEL, error.message, ADVICE.modelChoice), artifact: null };
    if (error instanceof ArtifactError) return { check: failed(MODEL, error.message, ADVICE.modelFiles), artifact: null };
    throw error;
  }
}

/** Runs the towers on the providers that would serve. */
async function checkTowers(config: Config, artifact: Artifact, probes: EngineProbes): Promise<Check> {
  try {
    const { itemTower, userTower, precision, passedOver } = await probes.tryTowers(config, artifact);
    const others = passedOver.length === 0 ? '' : `; passed over ${passedOver.join('; ')}`;
    const detail = `golden vectors hold: item tower on ${itemTower}, user tower on ${userTower} in ${precision}${others}`;
    const isLess = config.executionProviders !== 'auto' && itemTower !== config.executionProviders[0];
    return isLess ? warning(TOWERS, detail, 'the first of REELFUSE_EXECUTION_PROVIDERS does not load; see docs/gpu.md') : ok(TOWERS, detail);
  } catch (error) {
    return failed(TOWERS, messageOf(error), ADVICE.towers);
  }
}
