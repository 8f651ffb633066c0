import pg from 'pg';
import { DatabaseError, type PoolClient, type QueryConfig } from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';
import { ReelfuseError } from '../../errors.js';

const INT8 = 20;
/** Transactions that collided with another one are repeated. */
const RETRIES = 5;
const RETRY_MS = 5;
/** Time to find out what has become of a commit whose connection was lost, ms. */
const DOUBT_MS = 15_000;
const DOUBT_RETRY_MS = 200;
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
    application_name: 'reelfuse',
    connectionTimeoutMillis: 5000,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + GRACE_MS,
    idle_in_transaction_session_timeout: 30_000, // an open transaction holds every reader of the change feed back
    keepAlive: true,
    types,
  };
  const pools = addressesOf(url).map((connectionString) => {
    const pool = new pg.Pool({ ...options, connectionString, max: maxConnections });
    pool.on('error', onIdleError);
    pool.on('connect', (client) => void client.on('error', () => undefined)); // the statement under way is rejected, too
    return pool;
  });
  /** The one that has answered last as a primary. */
  let current = 0;
  const known = new WeakSet<PoolClient>();

  /** A connection to whichever address has the primary. */
  const acquire = async (): Promise<PoolClient> => {
    let problem: unknown = null;
    for (let tried = 0; tried < pools.length; tried++) {
      const place = (current + tried) % pools.length;
      try {
        const client = await (pools[place] as pg.Pool).connect(); // [0, pools)
        if (known.has(client) || (await isPrimary(client))) {
          known.add(client);
          current = place;
          return client;
        }
        client.release(true);
        problem ??= new Error('a standby answers, and no primary does');
      } catch (error) {
        problem ??= error;
      }
    }
    throw problem;
  };
  /** Runs one task on a connection; one that is broken, or has become a standby's, is not used again. */
  const withClient = async <Value>(task: (client: PoolClient) => Promise<Value>): Promise<Value> => {
    const client = await acquire();
    let isUsable = true;
    try {
      return await task(client);
    } catch (error) {
      isUsable = error instanceof DatabaseError && !LOST.test(error.code ?? '');
      throw error;
    } finally {
      client.release(!isUsable);
    }
  };

  const refuseSuspended = (): void => {
    const reason = suspended();
    if (reason !== null) throw unavailable(reason);
  };
  const attempt = <Value>(work: (statements: Statements) => Promise<Value>): Promise<Value> =>
    withClient(async (client) => {
      doubts.delete(client);
      await client.query('BEGIN');
      try {
        const value = await work(client);
        try {
          await client.query('COMMIT');
        } catch (error) {
          if (!(error instanceof DatabaseError) || LOST.test(error.code ?? '')) throw new InDoubtError(doubts.get(client) ?? null, value, error);
          throw error;
        }
        return value;
      } catch (error) {
        await client.query('ROLLBACK').catch(() => undefined); // the first error says more, and a lost connection is rolled back
        throw error;
      }
    });

  /** Whether a transaction was committed whose connection was lost meanwhile. @throws when it was not, or nobody can tell in time */
  const settled = async <Value>({ doubt, value, cause }: InDoubtError): Promise<Value> => {
    if (doubt?.proof === undefined) throw unavailable(cause); // it has written nothing that counts
    const { xid, proof } = doubt;
    for (const deadline = performance.now() + DOUBT_MS; performance.now() < deadline; await sleep(DOUBT_RETRY_MS)) {
      try {
        const isThere = await withClient(async (client) => {
          if (await isRunning(client, xid)) return null;
          return (await client.query(proof.text, proof.values)).rowCount === 1;
        });
        if (isThere === true) return value as Value; // of this transaction
        if (isThere === false) throw unavailable(cause);
      } catch (error) {
        if (error instanceof ReelfuseError) throw error;
      }
    }
    throw new ReelfuseError(503, 'write_in_doubt', 'the database went away while it was writing: the write may be there or not; send it again', {
      retryAfter: 2,
      cause,
    });
  };

  return {
    rows: async <Found extends object>(text: string, values: readonly unknown[] = []) => {
      refuseSuspended();
      try {
        return await withClient(async (client) => (await client.query<Found & Row>(text, [...values])).rows);
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
          if (error instanceof InDoubtError) return await settled<never>(error);
          if (!isCollision(error) || tried === RETRIES) throw told(error);
          await sleep(RETRY_MS * 2 ** tried * Math.random());
        }
      }
    },
    pages: async function* <Found extends object>(text: string, values: readonly unknown[], page: number) {
      const client = await acquire().catch((error: unknown) => {
        throw told(error);
      });
      let isUsable = true;
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
        await client.query('ROLLBACK').catch(() => (isUsable = false));
        client.release(!isUsable);
      }
    },
    connect: async () => {
      const connectionString = addressesOf(url)[current];
      const client = new pg.Client({ ...options, ...(connectionString !== undefined && { connectionString }), statement_timeout: 0 });
      client.on('error', onIdleError);
      try {
        await client.connect();
      } catch (error) {
        throw told(error);
      }
      return client;
    },
    close: async () => {
      for (const pool of pools) await pool.end();
    },
  };
}

/**
 * One address for each host of a list, as libpq reads it: postgres://user@first:5432,second:5432/database.
 * @throws Error when it has not this form
 */
export function addressesOf(url: string): string[] {
  const [, start, hosts, end] = /^(postgres(?:ql)?:\/\/(?:[^@/?]*@)?)([^/?]+)(.*)$/.exec(url) ?? [];
  if (start === undefined || hosts === undefined) throw new Error('must look like postgres://user:password@host:5432/database');
  const addresses = hosts.split(',').map((host) => `${start}${host}${end ?? ''}`);
  if (!addresses.every((address) => URL.canParse(address))) throw new Error('must look like postgres://user:password@host:5432,second:5432/database');
  return addresses;
}

async function isPrimary(client: PoolClient): Promise<boolean> {
  try {
    const { rows } = await client.query<{ recovers: boolean }>('SELECT pg_is_in_recovery() AS recovers');
    return rows[0]?.recovers === false;
  } catch (error) {
    client.release(true);
    throw error;
  }
}

/** How to find out whether a transaction was committed. */
interface Doubt {
  xid: string;
  /** A query that finds one row of it; absent: it has changed nothing. Its id alone does not tell: after a crash it may be given out again. */
  proof?: { text: string; values: unknown[] };
}

const doubts = new WeakMap<Statements, Doubt>();

/** Call it when the transaction has an id. */
export const noteTransaction = (statements: Statements, xid: string): void => void doubts.set(statements, { xid });

/** Names a row that is there if and only if the transaction was committed. */
export function proveBy(statements: Statements, text: string, values: unknown[]): void {
  const doubt = doubts.get(statements);
  if (doubt !== undefined) doubt.proof ??= { text, values };
}

/** The connection was lost while a transaction was being committed. */
class InDoubtError extends Error {
  override readonly name = 'InDoubtError';

  constructor(
    readonly doubt: Doubt | null,
    readonly value: unknown,
    override readonly cause: unknown,
  ) {
    super('a commit was not acknowledged', { cause });
  }
}

/** A server that has lost the connection may still be committing. */
async function isRunning(client: PoolClient, xid: string): Promise<boolean> {
  try {
    return (
      (await client.query<{ status: string | null }>('SELECT pg_xact_status($1::text::xid8) AS status', [xid])).rows[0]?.status === 'in progress'
    );
  } catch (error) {
    if (error instanceof DatabaseError && error.code === '22023') return false; // an id that this server has not given out yet
    throw error;
  }
}

/** Codes after which a connection is of no use: it was ended, or leads to a standby. */
const LOST = /^(08|57P|25006)/;

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
