import { ArtifactError, ConfigError } from '../../errors.js';

/** What to do about settings that are refused, and about a model that cannot serve. */
export const ADVICE = {
  settings: 'correct or unset it; reelfuse serve --help lists every setting',
  modelChoice: 'set REELFUSE_MODEL_DIR to the folder that dff has written',
  modelFiles: 'copy the folder anew from where it was trained, or set REELFUSE_MODEL_DIR to another',
  sharedDatabase: 'use PostgreSQL 15 or newer with a database in UTF8, and a program that is not older than the one that last served it',
  towers: 'see REELFUSE_EXECUTION_PROVIDERS and REELFUSE_REQUIRE_GPU; the artifact may be made for another version',
} as const;

/** Adds the advice to the error of a model or setting. @throws ArtifactError, ConfigError with the advice; other errors as they are */
export async function advised<Value>(task: () => Value | Promise<Value>, advice: string): Promise<Value> {
  try {
    return await task();
  } catch (error) {
    if (error instanceof ArtifactError) throw new ArtifactError(`${error.message}; ${advice}`, { cause: error });
    if (error instanceof ConfigError) throw new ConfigError(`${error.message}; ${advice}`, { cause: error });
    throw error;
  }
}
