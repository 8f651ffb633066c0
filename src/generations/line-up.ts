import type { Artifact } from '../model/artifact.js';
import type { Generation } from './generation.js';

/** A generation that is loaded or being loaded. */
export interface Loaded {
  readonly generation: Generation;
  /** Why it must not become active: a thread has died, or its indexer lacks a change. */
  readonly failure: Error | null;
}

/** The generation that answers requests, the previous one kept ready for a rollback, and the one that is being prepared. */
export interface LineUp {
  readonly active: Loaded;
  readonly standby: Loaded | null;
  /** The active, the standby and the preparing generation, in that order. Writes go to each of them. */
  readonly loaded: readonly Loaded[];
  /** Opens a generation; writes go to it from then on. */
  prepare(artifact: Artifact): Promise<Loaded>;
  /** Removes the generation that is being prepared. @returns it, to be closed; null: there is none */
  giveUp(): Loaded | null;
  /**
   * Makes a generation active. Switches run one after another. A request that has begun on the old generation ends on it.
   * @returns the generation that left the line-up, to be closed; null: none
   * @throws why the generation failed, or the reason of the signal; the active generation then stays active
   */
  switchTo(next: Loaded, signal?: AbortSignal): Promise<Loaded | null>;
  /** Resolves when no switch is under way. */
  settled(): Promise<void>;
}

export interface LineUpSetup {
  /** Starts the engines and runs the golden vectors on the providers that will serve. */
  open: (artifact: Artifact, onCrash: (error: Error) => void) => Promise<Generation>;
  /** An engine of the active generation has died. */
  onCrash: (error: Error) => void;
  /** Called with the first active generation, and with each generation that a switch makes active. */
  onActive: (generation: Generation) => void;
  /** Remembers the model of the next start. */
  remember: (artifact: Artifact) => Promise<void>;
}

export const isOf = ({ generation }: Loaded, fingerprint: string): boolean => generation.artifact.fingerprint === fingerprint;

/** Opens the first generation and makes it active. @throws ArtifactError when its model must not be used */
export async function openLineUp(first: Artifact, { open, onCrash, onActive, remember }: LineUpSetup): Promise<LineUp> {
  let standby: Loaded | null = null;
  let preparing: Loaded | null = null;
  let switching: Promise<unknown> = Promise.resolve();

  let serving: Loaded | null = null;

  const openLoaded = async (artifact: Artifact): Promise<Loaded> => {
    let crash: Error | null = null;
    let loaded: Loaded | null = null;
    const generation = await open(artifact, (error) => {
      crash ??= error;
      if (loaded !== null && loaded === serving) onCrash(error);
    });
    loaded = {
      generation,
      get failure() {
        return crash ?? generation.indexer.failure;
      },
    };
    return loaded;
  };
  const serve = (next: Loaded): Loaded => {
    serving = next;
    onActive(next.generation);
    return next;
  };

  let active = serve(await openLoaded(first));

  const makeActive = (next: Loaded): Loaded | null => {
    const old = active;
    const isRebuilt = isOf(old, next.generation.artifact.fingerprint);
    const dropped = isRebuilt ? old : standby === next ? null : standby;
    if (!isRebuilt) standby = old;
    if (preparing === next) preparing = null;
    active = serve(next);
    return dropped;
  };
  const switchNow = async (next: Loaded, signal?: AbortSignal): Promise<Loaded | null> => {
    await remember(next.generation.artifact);
    if (signal?.aborted === true || next.failure !== null) await remember(active.generation.artifact);
    signal?.throwIfAborted();
    if (next.failure !== null) throw next.failure;
    return next === active ? null : makeActive(next);
  };

  return {
    get active() {
      return active;
    },
    get standby() {
      return standby;
    },
    get loaded() {
      return [active, standby, preparing].filter((loaded) => loaded !== null);
    },
    prepare: async (artifact) => {
      const next = await openLoaded(artifact);
      preparing = next;
      return next;
    },
    giveUp: () => {
      const failed = preparing;
      preparing = null;
      return failed;
    },
    switchTo: (next, signal) => {
      const mine = switching.then(() => switchNow(next, signal));
      switching = mine.catch(() => undefined); // the caller is told
      return mine;
    },
    settled: async () => void (await switching),
  };
}
