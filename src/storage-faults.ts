import { ReelfuseError } from './errors.js';

/**
 * Why the storage failed, rather than the program. `full`: no room. `failed`: the disk cannot be read or written. `damaged`: what was
 * read is not what was written.
 */
export type StorageFault = 'full' | 'failed' | 'damaged';

export const STORAGE_FAULTS: readonly StorageFault[] = ['full', 'failed', 'damaged'];

/** Stored content that a check has found to be damaged. */
export class DamagedError extends Error {
  override readonly name = 'DamagedError';
  readonly code = 'DAMAGED';
}

/** Codes of Node and of SQLite: https://sqlite.org/rescode.html */
const CODES: readonly [fault: StorageFault, codes: RegExp][] = [
  ['full', /^(ENOSPC|EDQUOT|SQLITE_FULL)$/],
  ['damaged', /^(DAMAGED|SQLITE_NOTADB|SQLITE_CORRUPT(_\w+)?)$/],
  ['failed', /^(EIO|EROFS|EFBIG|ENXIO|ENODEV|ESTALE|SQLITE_(IOERR|READONLY|CANTOPEN)(_\w+)?)$/],
];

/** The code of an error, or else of its cause; '': there is none. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : codeOf(error.cause);
}

/** Node asks whether the folder is there when a recursive mkdir has failed, and gives the answer as the error: that it is not. */
const isMaskedMkdir = (error: unknown): boolean => {
  const { code, syscall } = (error ?? {}) as NodeJS.ErrnoException;
  return code === 'ENOENT' && syscall === 'mkdir';
};

/** @returns null when the storage is not the reason */
export function storageFaultOf(error: unknown): StorageFault | null {
  const code = codeOf(error);
  if (isMaskedMkdir(error)) return 'failed';
  if (code === 'database_unavailable') return 'failed';
  if (error instanceof ReelfuseError) return STORAGE_FAULTS.find((fault) => PROBLEMS[fault][1] === code) ?? null;
  return CODES.find(([, codes]) => codes.test(code))?.[0] ?? null;
}

const PROBLEMS: Record<StorageFault, [status: number, code: string, detail: string, retryAfter?: number]> = {
  full: [507, 'storage_full', 'the disk of the data folder is full; nothing of this write was kept', 30],
  failed: [503, 'storage_failed', 'the disk of the data folder fails; a write may be sent again', 10],
  damaged: [500, 'damaged', 'stored rows that this request needs are damaged; requests that need others are answered'],
};

/** What a caller is told about a fault of the storage. */
export function storageProblem(fault: StorageFault, cause?: unknown): ReelfuseError {
  const [status, code, detail, retryAfter] = PROBLEMS[fault];
  return new ReelfuseError(status, code, detail, { ...(retryAfter !== undefined && { retryAfter }), cause });
}
