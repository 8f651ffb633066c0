import pg from 'pg';
import { DatabaseError, type PoolClient, type QueryConfig } from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';
import { ReelfuseError } from '../../errors.js';

const INT8 = 20;
/** Transactions that collided with another one are repeated. */
const RETRIES = 5;
const RETRY_MS = 5;
const GRACE_MS = 1000;
/** Time for one page of a query of any size: sums over all events are made at its first page. */
const LONGEST_MS = 3_600_000;

export interface DatabaseSetup {
  url: string;
  /** Connections at most, without the one that listens. */
  maxConnections?: number;
  /** Time after which the server gives a statement up, ms. This side does a little later: the connection may be dead. */
  statementTimeoutMs?: number;
  /** Why nothing is tried, because it would fail; null: all is tried. */
  suspended?: () => Error | null;
  /** A connection that nobody used was lost. */
  onIdleError?: (error: Error) => void;
}

export type Row = Record<string, unknown>;
export type Statements = Pick<PoolClient, 'query'>;

/** Connections to PostgreSQL. Errors are told as ReelfuseError 503 `database_unavailable` or 507 `storage_full` where the database is the reason. */
export interface Database {
  /** Rows as objects; bigint as number. */
  rows<Found extends object>(text: string, values?: readonly unknown[]): Promise<Found[]>;
  /** Runs in one transaction; again when it collided with another one, so it must have no other effect. */
  transaction<Value>(work: (statements: Statements) => Promise<Value>): Promise<Value>;
  /** The rows of a query of any size, in pages, of the state in which the iteration begins. Holds a connection until its end. */
  pages<Found extends object>(text: string, values: readonly unknown[], page: number): AsyncGenerator<Found[]>;
  /** A connection of its own, for LISTEN. The caller ends it. */
  connect(): Promise<pg.Client>;
  close(): Promise<void>;
}

const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text') => (oid === INT8 ? Number : pg.types.getTypeParser(oid, format))) as typeof pg.types.getTypeParser,
};

export function openDatabase(setup: DatabaseSetup): Database {
  const { url, maxConnections = 10, statementTimeoutMs = 30_000, suspended = () => null, onIdleError = () => undefined } = setup;
  const options: pg.PoolConfig = {
    connectionString: url,
    application_name: 'reelfuse',
    connectionTimeoutMillis: 5000,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + GRACE_MS,
    idle_in_transaction_session_timeout: 30_000, // an open transaction holds every reader of the change feed back
    keepAlive: true,
    types,
  };
  const pool = new pg.Pool({ ...options, max: maxConnections });
  pool.on('error', onIdleError);

  const refuseSuspended = (): void => {
    const reason = suspended();
    if (reason !== null) throw unavailable(reason);
  };
  const attempt = async <Value>(work: (statements: Statements) => Promise<Value>): Promise<Value> => {
    const client = await pool.connect();
    let lost: Error | undefined;
    try {
      await client.query('BEGIN');
      const value = await work(client);
      await client.query('COMMIT');
      return value;
    } catch (error) {
      await client.query('ROLLBACK').catch((problem: Error) => (lost = problem));
      throw error;
    } finally {
      client.release(lost);
    }
  };

  return {
    rows: async <Found extends object>(text: string, values: readonly unknown[] = []) => {
      refuseSuspended();
      try {
        return (await pool.query<Found & Row>(text, [...values])).rows;
      } catch (error) {
        throw told(error);
      }
    },
    transaction: async (work) => {
      refuseSuspended();
      for (let tried = 0; ; tried++) {
        try {
          return await attempt(work);
        } catch (error) {
          if (!isCollision(error) || tried === RETRIES) throw told(error);
          await sleep(RETRY_MS * 2 ** tried * Math.random());
        }
      }
    },
    pages: async function* <Found extends object>(text: string, values: readonly unknown[], page: number) {
      const client = await pool.connect().catch((error: unknown) => {
        throw told(error);
      });
      let lost: Error | undefined;
      try {
        await client.query('BEGIN READ ONLY');
        await client.query('SET LOCAL statement_timeout = 0');
        await client.query(`DECLARE found NO SCROLL CURSOR FOR ${text}`, [...values]);
        for (;;) {
          const { rows } = await client.query<Found & Row>({ text: `FETCH ${page} FROM found`, query_timeout: LONGEST_MS } as QueryConfig);
          if (rows.length > 0) yield rows;
          if (rows.length < page) break;
        }
      } catch (error) {
        throw told(error);
      } finally {
        await client.query('ROLLBACK').catch((problem: Error) => (lost = problem));
        client.release(lost);
      }
    },
    connect: async () => {
      const client = new pg.Client({ ...options, statement_timeout: 0 });
      client.on('error', onIdleError);
      try {
        await client.connect();
      } catch (error) {
        throw told(error);
      }
      return client;
    },
    close: () => pool.end(),
  };
}

/** A statement whose plan is kept by each connection. */
export const prepared = (name: string, text: string, values: unknown[]): QueryConfig => ({ name, text, values });

/** https://www.postgresql.org/docs/current/errcodes-appendix.html: serialisation failure, deadlock. */
const isCollision = (error: unknown): boolean => error instanceof DatabaseError && (error.code === '40001' || error.code === '40P01');

/** Classes of codes that say that the database cannot be used now: connection, resources, operator, a read-only standby, a time limit. */
const UNAVAILABLE = /^(08|53|57|25006|58|25P03)/;

export const unavailable = (cause: unknown): ReelfuseError =>
  new ReelfuseError(503, 'database_unavailable', 'the database cannot be used now; a write may be sent again', { retryAfter: 2, cause });

/** What a caller is told about an error of the database. */
function told(error: unknown): Error {
  if (error instanceof ReelfuseError || !(error instanceof Error)) return error as Error;
  const code = (error as { code?: string }).code ?? '';
  if (error instanceof DatabaseError) {
    if (code === '53100')
      return new ReelfuseError(507, 'storage_full', 'the disk of the database is full; nothing of this write was kept', {
        retryAfter: 30,
        cause: error,
      });
    return UNAVAILABLE.test(code) ? unavailable(error) : error;
  }
  return isOfConnection(error, code) ? unavailable(error) : error;
}

/** node-postgres tells the end of a connection by messages only. */
const isOfConnection = (error: Error, code: string): boolean =>
  /^E[A-Z]+$/.test(code) || /connection|timeout|Client has encountered|client was closed/i.test(error.message);
