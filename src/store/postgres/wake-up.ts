import type pg from 'pg';
import type { Database } from './database.js';

const CHANNEL = 'reelfuse_changes';
/** Time between two notifications, ms. In the writing transaction they would serialise the commits of all servers. */
const DEBOUNCE_MS = 2;
const RECONNECT_MS = 1000;

/** Tells other servers that something has changed, and hears of it. Only wakes readers up: nothing depends on its arrival. */
export interface WakeUp {
  notify(): void;
  close(): Promise<void>;
}

export function openWakeUp(database: Pick<Database, 'rows' | 'connect'>, onWake: () => void): WakeUp {
  let client: pg.Client | null = null;
  let isClosed = false;
  let isDue = false;
  let reconnecting: NodeJS.Timeout | null = null;

  const listen = async (): Promise<void> => {
    try {
      const connected = await database.connect();
      if (isClosed) return void (await connected.end());
      client = connected;
      connected.on('notification', onWake);
      connected.on('end', retry);
      await connected.query(`LISTEN ${CHANNEL}`);
      onWake(); // what was notified meanwhile
    } catch {
      retry();
    }
  };
  const retry = (): void => {
    client = null;
    if (isClosed || reconnecting !== null) return;
    reconnecting = setTimeout(() => {
      reconnecting = null;
      void listen();
    }, RECONNECT_MS);
    reconnecting.unref();
  };
  void listen();

  return {
    notify: () => {
      if (isDue || isClosed) return;
      isDue = true;
      setTimeout(() => {
        isDue = false;
        if (!isClosed) database.rows(`NOTIFY ${CHANNEL}`).catch(() => undefined); // readers look by themselves, too
      }, DEBOUNCE_MS);
    },
    close: async () => {
      isClosed = true;
      if (reconnecting !== null) clearTimeout(reconnecting);
      await client?.end().catch(() => undefined);
    },
  };
}
