import { notFound, preconditionFailed } from '../errors.js';

/** `exists`, `absent`, or the sequence of the version that the caller has seen. */
export type Precondition = 'exists' | 'absent' | number;

/**
 * @param sequence of the stored item; null: there is none
 * @throws ReelfuseError 412 `precondition_failed`
 */
export function requirePrecondition(itemId: string, sequence: number | null, precondition: Precondition | undefined): void {
  if (precondition === undefined) return;
  if (precondition === 'absent' && sequence !== null) throw preconditionFailed(`item ${itemId} exists already, as version ${sequence}`);
  if (precondition !== 'absent' && sequence === null) throw preconditionFailed(`there is no item ${itemId}`);
  if (typeof precondition === 'number' && precondition !== sequence)
    throw preconditionFailed(`item ${itemId} is at version ${sequence}, not at ${precondition}`);
}

/** @throws ReelfuseError 404 `item_not_found` */
export function requireItem<Stored>(itemId: string, stored: Stored | null): Stored {
  if (stored === null) throw notFound('item', itemId);
  return stored;
}
