import { InputError, ReelfuseError, StartError, messageOf } from '../../errors.js';

/** Found by a check of SQLite rather than by an error. */
export class DamagedError extends Error {
  override readonly name = 'DamagedError';
}

const RESTORE = 'reelfuse restore --from the newest backup into an empty folder; keep this one until that serves';

interface Problem {
  /** SQLite's result codes begin with it: https://sqlite.org/rescode.html */
  code: string;
  /** In the message of SQLite; a worker passes on messages, not codes. */
  message: string;
  words: string;
  advice: string;
}

const PROBLEMS: readonly Problem[] = [
  { code: 'SQLITE_CORRUPT', message: 'disk image is malformed', words: 'is damaged', advice: RESTORE },
  { code: 'SQLITE_NOTADB', message: 'file is not a database', words: 'is damaged', advice: RESTORE },
  { code: 'SQLITE_READONLY', message: 'readonly database', words: 'cannot be written', advice: 'give it to the user of the server' },
  { code: 'SQLITE_CANTOPEN', message: 'unable to open database', words: 'cannot be opened', advice: 'give it to the user of the server' },
  { code: 'SQLITE_PERM', message: 'access permission denied', words: 'cannot be opened', advice: 'give it to the user of the server' },
  { code: 'SQLITE_IOERR', message: 'disk I/O error', words: 'cannot be read', advice: `check the disk; ${RESTORE}` },
  { code: 'SQLITE_BUSY', message: 'database is locked', words: 'is locked', advice: 'end the other program that has it open' },
  { code: 'SQLITE_FULL', message: 'disk is full', words: 'cannot be written', advice: 'make room on the disk of the data folder' },
];

/** Whether the content of the database is the reason, whatever the disk and the user may do. */
export const isDamage = (error: unknown): boolean => /^SQLITE_(CORRUPT|NOTADB)/.test(String((error as { code?: unknown }).code));

/**
 * Why a start failed on its database.
 * @param file path of the database
 * @returns null when the database is not the reason
 */
export function openProblem(error: unknown, file: string): StartError | null {
  if (error instanceof StartError) return null;
  const message = messageOf(error).replaceAll(/\s*\n\s*/g, ' ');
  const found = (words: string, advice: string): StartError => new StartError(`${file} ${words}: ${message}`, advice, { cause: error });
  if (error instanceof DamagedError) return found('is damaged', RESTORE);
  if (error instanceof InputError && message.startsWith('the database has schema version'))
    return found('is not for this version', 'install the newer version, or restore a backup of this one into an empty folder');
  if (error instanceof ReelfuseError) return error.code === 'storage_full' ? found('cannot be written', 'make room on its disk') : null;
  const { code } = error as { code?: unknown };
  const problem = PROBLEMS.find((known) => (typeof code === 'string' && code.startsWith(known.code)) || message.includes(known.message));
  return problem === undefined ? null : found(problem.words, problem.advice);
}
