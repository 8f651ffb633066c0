import { Type, type Static } from 'typebox';
import type { ExpectedShape, ParsedItem } from '../catalog/item-input.js';
import { ReelfuseError, type FieldError } from '../errors.js';
import type { Services } from '../services.js';

export const State = Type.String({ description: 'searchable | pending_features | stored | hidden' });
export const Model = Type.Object(
  { fingerprint: Type.String(), version: Type.String() },
  { description: 'the generation that the item is searchable in' },
);

/** What every write of an item is acknowledged with. */
export const ReceiptSchema = Type.Object({
  item_id: Type.String(),
  state: State,
  sequence: Type.Integer(),
  searchable_after_ms: Type.Unsafe<number | null>({ anyOf: [{ type: 'number' }, { type: 'null' }] }),
  model: Model,
});

export const servingModel = ({ generation }: Pick<Services, 'generation'>): Static<typeof Model> => {
  const { fingerprint, manifest } = generation.artifact;
  return { fingerprint, version: manifest.version };
};

/** Of the hidden states that the serving model takes. */
export function expectedShape({ generation }: Pick<Services, 'generation'>): ExpectedShape {
  const { manifest, norms } = generation.artifact;
  return { layers: manifest.layers.count, width: manifest.hidden_dim, norms };
}

export const isErrors = (parsed: ParsedItem | FieldError[]): parsed is FieldError[] => Array.isArray(parsed);

/** @throws ReelfuseError 503 `starting` */
export function requireReady({ isReady }: Pick<Services, 'isReady'>): void {
  if (!isReady()) throw new ReelfuseError(503, 'starting', 'the catalogue is still loading', { retryAfter: 1 });
}
