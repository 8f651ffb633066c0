import type { Logger } from 'pino';
import { messageOf } from '../errors.js';
import type { Metrics } from '../metrics.js';
import type { Store } from '../store/store.js';
import type { Generation } from './generation.js';
import type { Generations } from './generations.js';
import { measureRecall } from './recall.js';

/** Queries of one self-check. */
const SAMPLES = 4;
/** Checks whose mean is compared: 64 queries, a standard error of about .01 at a recall of .98. */
const WINDOW = 16;
/** A fall of the mean recall by this much since the generation began makes a rebuild worth its work. */
const TOLERATED_FALL = 0.03;
/** Dead nodes slow every search down; below this number it does not matter. */
const MIN_DEAD = 10_000;
/** Checks that are let pass before a rebuild that came to nothing is tried again, and after that twice as many each time. */
const PATIENCE = WINDOW;

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * Watches the serving index: compares a few queries with exact search, and has it rebuilt beside the serving one when
 * it has lost recall since it was built, or when most of the graph is dead nodes of items that are gone or hidden.
 */
export function createUpkeep(generations: Generations, store: Pick<Store, 'history'>, metrics: Metrics, log: Logger): () => Promise<void> {
  let watched: Generation | null = null;
  let recent: number[] = [];
  let failedRebuilds = 0;
  let checksToWait = 0;

  const reasonToRebuild = ({ catalogue, firstRecalls }: Generation): 'dead_nodes' | 'recall' | null => {
    if (catalogue.deadNodes >= MIN_DEAD && catalogue.deadNodes > catalogue.indexed) return 'dead_nodes';
    return recent.length === WINDOW && mean(recent) < mean(firstRecalls) - TOLERATED_FALL ? 'recall' : null;
  };

  return async () => {
    const { current } = generations;
    if (current !== watched) {
      watched = current;
      recent = [];
      failedRebuilds = 0;
      checksToWait = 0;
    }
    try {
      const recall = await current.use(() => measureRecall(current, store, [], SAMPLES));
      if (recall === null) return;
      metrics.recall.set(recall);
      if (current.firstRecalls.length < WINDOW) current.firstRecalls.push(recall);
      else recent = [...recent, recall].slice(-WINDOW);
    } catch (error) {
      log.warn({ reason: messageOf(error) }, 'the recall self-check was skipped');
      return;
    }
    const reason = reasonToRebuild(current);
    if (reason === null || checksToWait-- > 0 || generations.rebuild() === null) return;
    recent = [];
    checksToWait = PATIENCE * 2 ** failedRebuilds++; // where it succeeds, another generation is watched from then on
    metrics.rebuilds.inc({ reason });
    log.info({ reason, dead: current.catalogue.deadNodes, found: current.catalogue.indexed }, 'the index is rebuilt in the background');
  };
}
