import { ReelfuseError, messageOf } from '../errors.js';

/** Codes of Node and SQLite for a disk that fails, is full or cannot be written. */
const CODES = /^(EIO|ENOSPC|EDQUOT|EROFS|EFBIG|SQLITE_(IOERR|FULL|READONLY|CANTOPEN)(_\w+)?)$/;
/** Threads pass on messages, not codes: those of SQLite for SQLITE_IOERR and SQLITE_FULL. */
const MESSAGES = /disk I\/O error|disk is full/;

/** Whether a command failed by its disk, which no stack explains. */
export const isDiskFailure = (error: unknown): boolean =>
  (error instanceof ReelfuseError && error.status === 507) ||
  CODES.test((error as { code?: string } | null)?.code ?? '') ||
  MESSAGES.test(messageOf(error));
