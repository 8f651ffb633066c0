/** A server as the others see it. */
export interface Replica {
  replica_id: string;
  /** Host and port, for people. */
  name: string;
  version: string;
  /** Of the model that serves. */
  fingerprint: string;
  items: number;
  /** Every change up to this sequence is in effect there. */
  applied: number;
  /** Milliseconds since 1970. */
  started_at: number;
  /** End of its lease, milliseconds since 1970; null: it needs none. */
  leased_until: number | null;
  lease: 'held' | 'ended' | 'none';
}

/** What a server tells of itself. */
export type ReplicaState = Pick<Replica, 'name' | 'version' | 'fingerprint' | 'items'>;

/** What the servers over one store promise each other. */
export interface ReplicaStore {
  /** Servers whose lease has not ended long ago, this one included, oldest first. */
  list(): Promise<Replica[]>;
  /** False: others may have acknowledged deletes that this server does not know of. */
  mayServe(): boolean;
  /** Resolves when no server answers without this change any more: those that may serve have applied it. */
  inEffect(sequence: number): Promise<void>;
}
