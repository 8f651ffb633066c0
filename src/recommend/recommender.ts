import type { Metrics } from '../metrics.js';
import type { Catalogue } from '../retrieval/catalogue.js';
import type { Retrieval } from '../retrieval/retrieval.js';
import { STAGES, type RecommendAnswer, type ServingModel } from './answer.js';
import type { RecommendContext } from './context.js';
import { recommend } from './pipeline.js';
import type { RecommendRequest } from './request.js';

/** The generation that serves, as requests see it. */
export interface ServingGeneration {
  readonly model: ServingModel;
  readonly retrieval: Retrieval;
  readonly catalogue: Catalogue;
  layerShares(itemId: string): Promise<number[] | null>;
  /** Runs a task; the generation stays open until it ends. Call it in the same turn of the event loop in which the generation was chosen. */
  lease<Value>(task: () => Promise<Value>): Promise<Value>;
}

/** @throws what `recommend` throws */
export type Recommend = (request: RecommendRequest) => Promise<RecommendAnswer>;

/**
 * Each answer uses one generation: the one that serves when its request arrives.
 * @param serving returns the same object for the same generation
 */
export function createRecommender(
  serving: () => ServingGeneration,
  shared: Omit<RecommendContext, 'retrieval' | 'catalogue' | 'layerShares' | 'model' | 'count'>,
  metrics: Metrics,
): Recommend {
  const contexts = new WeakMap<ServingGeneration, RecommendContext>();
  const contextOf = (generation: ServingGeneration): RecommendContext => {
    const known = contexts.get(generation);
    if (known !== undefined) return known;
    const { model, retrieval, catalogue, layerShares } = generation;
    const context: RecommendContext = { ...shared, model, retrieval, catalogue, layerShares, count: (answer) => count(answer, metrics) };
    contexts.set(generation, context);
    return context;
  };
  return (request) => {
    const generation = serving();
    return generation.lease(() => recommend(contextOf(generation), request));
  };
}

function count({ timings, fallback, items }: RecommendAnswer, metrics: Metrics): void {
  if (fallback !== null) metrics.fallbacks.inc({ reason: fallback });
  for (const { reason } of items) if (reason === 'exploration') metrics.explored.inc();
  for (const stage of STAGES) metrics.stageSeconds.series(stage).observe(timings[stage] / 1000);
}
