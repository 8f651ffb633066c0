import { chooseModel } from '../../generations/model-choice.js';
import type { Config } from '../../config.js';
import { ArtifactError, ConfigError, messageOf } from '../../errors.js';
import { readArtifact, type Artifact } from '../../model/artifact.js';
import { failed, ok, skipped, warning, type Check } from './check.js';

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
}

/** Read-only checks of the engines that a start would use. The composition root makes it. */
export interface EngineProbes {
  /** Whether the data folder exists. */
  isThere(dataDir: string): boolean;
  /** Locks the data folder and releases it. @throws InputError naming the process that holds the lock */
  tryLock(dataDir: string): void;
  databaseFile(dataDir: string): string;
  /** Null: there is no database yet. @throws InputError when it is damaged, or newer than this program */
  inspectDatabase(dataDir: string): InspectedDatabase | null;
  /** Opens the towers as a server would, checks the golden vectors, and closes them. @throws ArtifactError */
  tryTowers(config: Config, artifact: Artifact): Promise<{ itemTower: string; userTower: string; precision: string; passedOver: readonly string[] }>;
}

/** The checks that need the native parts: the lock of the data folder, its database, and the model that a start would choose. */
export async function checkEngines(config: Config, probes: EngineProbes): Promise<Check[]> {
  const { check: database, found } = checkDatabase(config.dataDir, probes);
  const isReadable = database.status !== 'failed';
  const { check: model, artifact } = await checkModel(config, found, isReadable);
  const towers = artifact === null ? skipped(TOWERS, MODEL) : await checkTowers(config, artifact, probes);
  return [checkLock(config.dataDir, probes), database, model, towers];
}

function checkLock(dataDir: string, probes: EngineProbes): Check {
  if (!probes.isThere(dataDir)) return ok(LOCK, 'nobody has it: the folder is not there yet');
  try {
    probes.tryLock(dataDir);
    return ok(LOCK, 'no process has the folder');
  } catch (error) {
    return failed(LOCK, messageOf(error), 'nothing, if that is the server you mean; two cannot share a folder');
  }
}

function checkDatabase(dataDir: string, probes: EngineProbes): { check: Check; found: InspectedDatabase | null } {
  try {
    const found = probes.inspectDatabase(dataDir);
    if (found === null) return { check: ok(DATABASE, 'none yet: the first start makes it'), found };
    const { schemaVersion, items, events } = found;
    return { check: ok(DATABASE, `${items} items, ${events} events, schema version ${schemaVersion}`), found };
  } catch (error) {
    const advice = 'reelfuse restore --from the newest backup into an empty folder; keep this one until that serves';
    return { check: failed(DATABASE, `${probes.databaseFile(dataDir)}: ${messageOf(error)}`, advice), found: null };
  }
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
    if (error instanceof ConfigError)
      return { check: failed(MODEL, error.message, 'set REELFUSE_MODEL_DIR to the folder that dff has written'), artifact: null };
    if (error instanceof ArtifactError)
      return {
        check: failed(MODEL, error.message, 'copy the folder anew from where it was trained, or set REELFUSE_MODEL_DIR to another'),
        artifact: null,
      };
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
    return failed(
      TOWERS,
      messageOf(error),
      'see REELFUSE_EXECUTION_PROVIDERS and REELFUSE_REQUIRE_GPU; the artifact may be made for another version',
    );
  }
}
