import { InputError, ReelfuseError, StartError, messageOf } from '../../errors.js';
import { codeOf, storageFaultOf } from '../../storage-faults.js';

const RESTORE = 'reelfuse restore --from the newest backup into an empty folder; keep this one until that serves';

const OWNER = 'give it to the user of the server';

/** By SQLite's result codes, which begin so: https://sqlite.org/rescode.html */
const PROBLEMS: readonly [code: string, words: string, advice: string][] = [
  ['SQLITE_READONLY', 'cannot be written', OWNER],
  ['SQLITE_CANTOPEN', 'cannot be opened', OWNER],
  ['SQLITE_PERM', 'cannot be opened', OWNER],
  ['SQLITE_IOERR', 'cannot be read', `check the disk; ${RESTORE}`],
  ['SQLITE_BUSY', 'is locked', 'end the other program that has it open'],
  ['SQLITE_FULL', 'cannot be written', 'make room on the disk of the data folder'],
];

/**
 * Why a start failed on its database.
 * @param file path of the database
 * @returns null when the database is not the reason
 */
export function openProblem(error: unknown, file: string): StartError | null {
  if (error instanceof StartError) return null;
  if (error instanceof ReelfuseError) return error.cause === undefined ? null : openProblem(error.cause, file);
  const message = messageOf(error).replaceAll(/\s*\n\s*/g, ' ');
  const found = (words: string, advice: string): StartError => new StartError(`${file} ${words}: ${message}`, advice, { cause: error });
  if (storageFaultOf(error) === 'damaged') return found('is damaged', RESTORE);
  if (error instanceof InputError && message.startsWith('the database has schema version'))
    return found('is not for this version', 'install the newer version, or restore a backup of this one into an empty folder');
  const [, words, advice] = PROBLEMS.find(([code]) => codeOf(error).startsWith(code)) ?? [];
  return words === undefined || advice === undefined ? null : found(words, advice);
}
