import { notFound, preconditionFailed } from '../errors.js';

/** Versions of an item by their sequences; `any`: every stored version. */
export type Versions = 'any' | readonly number[];

/** What must hold of the stored item for a write to happen. */
export interface Precondition {
  /** The stored version is one of these. */
  match?: Versions;
  /** The stored version is none of these. */
  noneMatch?: Versions;
}

/**
 * @param sequence of the stored item; null: there is none
 * @throws ReelfuseError 412 `precondition_failed`
 */
export function requirePrecondition(itemId: string, sequence: number | null, precondition: Precondition | undefined): void {
  if (precondition === undefined) return;
  const { match, noneMatch } = precondition;
  if (match !== undefined && !isOneOf(match, sequence)) {
    if (sequence === null) throw preconditionFailed(`there is no item ${itemId}`);
    throw preconditionFailed(`item ${itemId} is at version ${sequence}, which If-Match does not name`);
  }
  if (noneMatch !== undefined && isOneOf(noneMatch, sequence)) throw preconditionFailed(`item ${itemId} exists already, as version ${sequence}`);
}

const isOneOf = (versions: Versions, sequence: number | null): boolean => sequence !== null && (versions === 'any' || versions.includes(sequence));

/** @throws ReelfuseError 404 `item_not_found` */
export function requireItem<Stored>(itemId: string, stored: Stored | null): Stored {
  if (stored === null) throw notFound('item', itemId);
  return stored;
}
