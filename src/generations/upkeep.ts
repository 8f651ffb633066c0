import type { Logger } from 'pino';
import { messageOf } from '../errors.js';
import type { Metrics } from '../metrics.js';
import type { CatalogueStatus } from '../retrieval/catalogue.js';
import type { Generation } from './generation.js';
import type { Generations } from './generations.js';
import { measureRecall, type HistorySource } from './recall.js';

/** Queries of one self-check. */
const QUERIES = 4;
/** Checks whose mean is compared: 64 queries, a standard error of about 0.01 at a recall of 0.98. */
const WINDOW = 16;
/** Fall of the mean recall since the index was built from which a rebuild is worth its work. */
const TOLERATED_FALL = 0.03;
/** Number of dead graph nodes from which they slow searches down noticeably. */
const MIN_DEAD = 10_000;
/** Number of checks to wait before a failed rebuild is tried again; it doubles with each failure. */
const PATIENCE = WINDOW;

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

export interface UpkeepSetup {
  generations: Pick<Generations, 'current' | 'rebuild'>;
  source: HistorySource;
  metrics: Pick<Metrics, 'recall' | 'rebuilds'>;
  log: Pick<Logger, 'info' | 'warn'>;
}

/**
 * Watches the serving index. Each check compares a few queries with exact search. It starts a rebuild in the background when
 * recall has fallen since the index was built, or when most nodes of the graph belong to deleted or hidden items.
 * @returns a function that makes one check; it never rejects
 */
export function createUpkeep({ generations, source, metrics, log }: UpkeepSetup): () => Promise<void> {
  let watched: Generation | null = null;
  let recent: number[] = [];
  let failedRebuilds = 0;
  let checksToWait = 0;

  const watch = (generation: Generation): void => {
    watched = generation;
    recent = [];
    failedRebuilds = 0;
    checksToWait = 0;
  };
  /** @returns null when there is nothing to search */
  const check = async (generation: Generation): Promise<CatalogueStatus | null> => {
    const recall = await measureRecall(generation, source, { users: [], queries: QUERIES });
    if (recall === null) return null;
    metrics.recall.set(recall);
    if (generation.firstRecalls.length < WINDOW) generation.firstRecalls.push(recall);
    else recent = [...recent, recall].slice(-WINDOW);
    return generation.catalogue.status();
  };
  const reasonToRebuild = ({ deadNodes, findable }: CatalogueStatus, { firstRecalls }: Generation): 'dead_nodes' | 'recall' | null => {
    if (deadNodes >= MIN_DEAD && deadNodes > findable) return 'dead_nodes';
    return recent.length === WINDOW && mean(recent) < mean(firstRecalls) - TOLERATED_FALL ? 'recall' : null;
  };

  return async () => {
    const { current } = generations;
    if (current !== watched) watch(current);
    let status: CatalogueStatus | null;
    try {
      status = await current.lease(() => check(current));
    } catch (error) {
      log.warn({ reason: messageOf(error) }, 'the recall self-check was skipped');
      return;
    }
    const reason = status === null ? null : reasonToRebuild(status, current);
    if (reason === null || checksToWait-- > 0 || generations.rebuild() === null) return;
    recent = [];
    checksToWait = PATIENCE * 2 ** failedRebuilds++; // after a successful rebuild another generation is watched, with new counters
    metrics.rebuilds.inc({ reason });
    log.info({ reason, dead: status?.deadNodes, found: status?.findable }, 'the index is rebuilt in the background');
  };
}
