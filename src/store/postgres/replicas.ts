import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ReelfuseError } from '../../errors.js';
import type { Replica, ReplicaState, ReplicaStore } from '../replicas.js';
import type { Database } from './database.js';

/** Renewals in the time of a lease. */
const RENEWALS = 5;
/** Time between two looks at whether all servers have a change, ms; each look doubles it. */
const FIRST_LOOK_MS = 2;
const LAST_LOOK_MS = 50;
/** Time after which a write is told that it may not be in effect everywhere, ms; every lease has ended before. */
const EFFECT_MS = 330_000;
/** Time between two messages of what is applied, ms. */
const PUBLISH_MS = 5;
/** Servers whose lease has ended are listed for this time. */
const LISTED = '10 minutes';

export interface ReplicasSetup {
  database: Pick<Database, 'rows'>;
  leaseMs: number;
  describe: () => Promise<ReplicaState>;
  /** Resolves with a sequence up to which every change of the store is in effect here; it holds whatever was settled at the call. */
  caughtUp: () => Promise<number>;
  /** The lease has ended, or is held again. */
  onLease: (isHeld: boolean) => void;
}

export interface Replicas extends ReplicaStore {
  /** Takes the lease; resolves when this server may serve. */
  begin(): Promise<void>;
  /** Tells the others what is in effect here. Call it when changes have settled. */
  publish(): void;
  close(): Promise<void>;
}

/**
 * Leases by the clock of the database. A server counts its own lease from before it asked, by a clock that never jumps, so it stops
 * serving before the others stop waiting for it.
 */
export function openReplicas({ database, leaseMs, describe, caughtUp, onLease }: ReplicasSetup): Replicas {
  const { rows } = database;
  const id = randomUUID();
  let heldUntil = -Infinity;
  let applied = 0;
  let isClosed = false;
  let wasHeld = false;
  let timer: NodeJS.Timeout | null = null;
  let renewing: Promise<void> = Promise.resolve();
  let publishing: Promise<void> | null = null;
  let isAsked = false;

  const mayServe = (): boolean => performance.now() < heldUntil;
  const tell = (): void => {
    if (mayServe() === wasHeld) return;
    wasHeld = !wasHeld;
    onLease(wasHeld);
  };
  const renew = async (): Promise<void> => {
    const begun = performance.now();
    const state = await describe();
    await rows(
      `INSERT INTO replicas (replica_id, name, version, fingerprint, items, applied, leased_until)
       VALUES ($1, $2, $3, $4, $5, $6, now() + $7 * interval '1 ms')
       ON CONFLICT (replica_id) DO UPDATE SET name = excluded.name, version = excluded.version, fingerprint = excluded.fingerprint,
         items = excluded.items, applied = greatest(replicas.applied, excluded.applied), leased_until = excluded.leased_until`,
      [id, state.name, state.version, state.fingerprint, state.items, applied, leaseMs],
    );
    // others wait for this server from now on; what they acknowledged before must be in effect before it serves
    if (!mayServe()) applied = Math.max(applied, await caughtUp());
    heldUntil = begun + leaseMs;
  };
  const renewOnce = (): Promise<void> => {
    renewing = renewing.then(async () => {
      if (isClosed) return;
      try {
        await renew();
      } catch {
        // the database cannot be used, which the change feed tells; the lease runs out
      }
      tell();
    });
    return renewing;
  };
  const publishNow = async (): Promise<void> => {
    while (isAsked && !isClosed) {
      isAsked = false;
      try {
        applied = Math.max(applied, await caughtUp());
        await rows('UPDATE replicas SET applied = greatest(applied, $2) WHERE replica_id = $1', [id, applied]);
      } catch {
        // the next renewal tells it
      }
      await sleep(PUBLISH_MS);
    }
    publishing = null;
  };

  return {
    mayServe,
    list: async () =>
      rows<Replica>(
        `SELECT replica_id, name, version, fingerprint, items, applied, (extract(epoch FROM started_at) * 1000)::bigint AS started_at,
           (extract(epoch FROM leased_until) * 1000)::bigint AS leased_until,
           CASE WHEN leased_until > now() THEN 'held' ELSE 'ended' END AS lease
         FROM replicas WHERE leased_until > now() - interval '${LISTED}' ORDER BY replicas.started_at, replica_id`,
      ),
    inEffect: async (sequence) => {
      const deadline = performance.now() + EFFECT_MS;
      for (let pause = FIRST_LOOK_MS; performance.now() < deadline; pause = Math.min(2 * pause, LAST_LOOK_MS)) {
        try {
          const [row] = await rows<{ behind: number }>(
            'SELECT count(*) AS behind FROM replicas WHERE replica_id <> $1 AND leased_until > now() AND applied < $2',
            [id, sequence],
          );
          if (row?.behind === 0) return;
        } catch {
          // the write is durable: it must not be told to have failed because the database goes away now
        }
        await sleep(pause);
      }
      throw new ReelfuseError(503, 'write_in_doubt', 'the write is stored, but it is not known whether every server has applied it', {
        retryAfter: 2,
      });
    },
    begin: async () => {
      await renewOnce();
      const again = (): void => {
        timer = setTimeout(() => void renewOnce().then(() => isClosed || again()), leaseMs / RENEWALS);
        timer.unref();
      };
      again();
    },
    publish: () => {
      isAsked = true;
      publishing ??= publishNow();
    },
    close: async () => {
      isClosed = true;
      heldUntil = -Infinity;
      if (timer !== null) clearTimeout(timer);
      await renewing;
      await publishing;
      await rows(`DELETE FROM replicas WHERE replica_id = $1 OR leased_until < now() - interval '${LISTED}'`, [id]).catch(() => undefined);
    },
  };
}
