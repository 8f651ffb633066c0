import type { Metrics } from '../metrics.js';
import type { Catalogue } from '../retrieval/catalogue.js';
import type { Retrieval } from '../retrieval/retrieval.js';
import { STAGES, type RecommendAnswer } from './answer.js';
import type { RecommendContext } from './context.js';
import { recommend } from './pipeline.js';
import type { RecommendRequest } from './request.js';

/** What answers of one generation name of their model. */
export interface ServingModel {
  fingerprint: string;
  version: string;
  layer_weights: number[];
}

/** The generation that serves, as requests see it. */
export interface ServingGeneration {
  readonly model: ServingModel;
  readonly retrieval: Retrieval;
  readonly catalogue: Catalogue;
  layerShares(itemId: string): Promise<number[] | null>;
  /** Runs a task that the generation must outlive; called in the turn in which the generation was chosen. */
  lease<Value>(task: () => Promise<Value>): Promise<Value>;
}

export interface Recommendation extends RecommendAnswer {
  model: ServingModel;
}

/** @throws what `recommend` throws */
export type Recommend = (request: RecommendRequest) => Promise<Recommendation>;

/** Every answer is of exactly one generation, the one that serves when its request comes. */
export function createRecommender(
  serving: () => ServingGeneration,
  shared: Omit<RecommendContext, 'retrieval' | 'catalogue' | 'layerShares'>,
  metrics: Metrics,
): Recommend {
  return (request) => {
    const { retrieval, catalogue, layerShares, model, lease } = serving();
    return lease(async () => {
      const answer = await recommend({ ...shared, retrieval, catalogue, layerShares }, request);
      count(answer, metrics);
      return { ...answer, model };
    });
  };
}

function count({ timings, fallback, items }: RecommendAnswer, metrics: Metrics): void {
  if (fallback !== null) metrics.fallbacks.inc({ reason: fallback });
  for (const { reason } of items) if (reason === 'exploration') metrics.explored.inc();
  for (const stage of STAGES) metrics.stageSeconds.series(stage).observe(timings[stage] / 1000);
}
