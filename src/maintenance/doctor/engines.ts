import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { chooseModel } from '../../generations/model-choice.js';
import type { Config } from '../../config.js';
import { ArtifactError, ConfigError, messageOf } from '../../errors.js';
import { createMetrics } from '../../metrics.js';
import { readArtifact, type Artifact } from '../../model/artifact.js';
import { startFuser } from '../../model/fuser.js';
import { startRecommenders } from '../../model/recommender-pool.js';
import { packageFile } from '../../package-root.js';
import { lockDataDir } from '../../store/data-lock.js';
import { DATABASE_FILE } from '../../store/sqlite/database.js';
import { inspectDatabase, type InspectedDatabase } from '../../store/sqlite/inspect.js';
import { failed, ok, skipped, warning, type Check } from './check.js';

const LOCK = 'data lock';
const DATABASE = 'database';
const MODEL = 'model files';
const TOWERS = 'model engines';

/** Everything that needs the native parts: the lock of the data folder, its database, and the model as a start would choose and run it. */
export async function checkEngines(config: Config): Promise<Check[]> {
  const { check: database, found } = checkDatabase(config.dataDir);
  const { check: model, artifact } = await checkModel(config, found);
  const towers = artifact === null ? skipped(TOWERS, MODEL) : await checkTowers(config, artifact);
  return [checkLock(config.dataDir), database, model, towers];
}

function checkLock(dataDir: string): Check {
  if (!existsSync(dataDir)) return ok(LOCK, 'nobody has it: the folder is not there yet');
  try {
    lockDataDir(dataDir)();
    return ok(LOCK, 'no process has the folder');
  } catch (error) {
    return failed(LOCK, messageOf(error), 'nothing, if that is the server you mean; two cannot share a folder');
  }
}

function checkDatabase(dataDir: string): { check: Check; found: InspectedDatabase | null } {
  if (!existsSync(join(dataDir, DATABASE_FILE))) return { check: ok(DATABASE, 'none yet: the first start makes it'), found: null };
  try {
    const found = inspectDatabase(dataDir, packageFile('migrations', 'sqlite'));
    const { schemaVersion, items, events } = found;
    return { check: ok(DATABASE, `${items} items, ${events} events, schema version ${schemaVersion}`), found };
  } catch (error) {
    const advice = 'reelfuse restore --from the newest backup into an empty folder; keep this one until that serves';
    return { check: failed(DATABASE, `${join(dataDir, DATABASE_FILE)}: ${messageOf(error)}`, advice), found: null };
  }
}

async function checkModel({ modelDir, dataDir }: Config, found: InspectedDatabase | null): Promise<{ check: Check; artifact: Artifact | null }> {
  if (found === null && existsSync(join(dataDir, DATABASE_FILE)) && modelDir === '') return { check: skipped(MODEL, DATABASE), artifact: null };
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

/** On the providers that would serve; the threads check the golden vectors before they answer. */
async function checkTowers(config: Config, artifact: Artifact): Promise<Check> {
  const metrics = createMetrics();
  const onCrash = (): void => undefined; // the call that waits is rejected with the reason
  try {
    const fuser = await startFuser(artifact, config, metrics, onCrash);
    try {
      const { executionProviders, maxBatch, maxQueue, hnswM, hnswEfConstruction, hnswEf, userTowerPrecision } = config;
      const hnsw = { m: hnswM, efConstruction: hnswEfConstruction, ef: hnswEf };
      const settings = {
        executionProviders,
        requireGpu: false,
        workers: 1,
        maxBatch,
        maxQueue,
        hnsw,
        precision: userTowerPrecision,
        userVectorBytes: 0,
      };
      const pool = await startRecommenders(artifact, settings, metrics, onCrash);
      await pool.close();
      const passedOver = fuser.skipped.length === 0 ? '' : `; passed over ${fuser.skipped.join('; ')}`;
      const detail = `golden vectors hold: item tower on ${fuser.provider}, user tower on ${pool.provider} in ${pool.precision}${passedOver}`;
      const isLess = config.executionProviders !== 'auto' && fuser.provider !== config.executionProviders[0];
      return isLess ? warning(TOWERS, detail, `the first of REELFUSE_EXECUTION_PROVIDERS does not load; see GPU in the README`) : ok(TOWERS, detail);
    } finally {
      await fuser.close();
    }
  } catch (error) {
    return failed(
      TOWERS,
      messageOf(error),
      'see REELFUSE_EXECUTION_PROVIDERS and REELFUSE_REQUIRE_GPU; the artifact may be made for another version',
    );
  }
}
