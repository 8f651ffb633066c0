import { Type } from 'typebox';
import { ruledBy } from '../schema.js';
import { requirePrecondition, type Precondition, type Versions } from '../ingest/preconditions.js';
import type { ReadItem } from '../ingest/item-reading.js';

/**
 * Entity tags of items, and conditions on them as RFC 9110, section 13, defines them. A tag names the version that is stored. The tag of a
 * read also has the state and the availability where these are not `searchable` and `now`: they change without a write.
 */
export const etagOf = (sequence: number): string => `"${sequence}"`;

export const etagOfRead = ({ item, state, availability }: ReadItem): string =>
  state === 'searchable' && availability === 'now' ? etagOf(item.sequence) : `"${item.sequence}-${state}-${availability}"`;

const OURS = /^"(\d{1,15})(?:-[a-z_]+-[a-z]+)?"$/;

const TAG = '(W/)?"[\\x21\\x23-\\x7e\\x80-\\xff]*"';
/** A list of entity tags, in which members may be empty, or `*`. */
const LIST = ruledBy(`^[\\t ]*(\\*|(,[\\t ]*)*${TAG}([\\t ]*,([\\t ]*${TAG})?)*)[\\t ]*$`, 'must be * or ETags separated by commas, as "42", "43"');

const TAGS = new RegExp(TAG, 'g');

/** A header with entity tags. */
export const Tags = (description: string) => Type.Optional(Type.String({ pattern: LIST, description }));

export interface ConditionHeaders {
  'if-match'?: string;
  'if-none-match'?: string;
}

/**
 * What a write requires. A tag that is weak or of another server matches no version in If-Match: the write is then refused by 412.
 */
export function preconditionOf(headers: ConditionHeaders): Precondition | undefined {
  const match = tagsOf(headers, 'if-match');
  const none = tagsOf(headers, 'if-none-match');
  if (match === null && none === null) return undefined;
  return {
    ...(match !== null && { match: versionsOf(match) }),
    ...(none !== null && { noneMatch: versionsOf(none === '*' ? none : none.map(withoutWeakness)) }),
  };
}

/**
 * Whether a read is answered by 304 because the caller has this representation.
 * @throws ReelfuseError 412 `precondition_failed`
 */
export function isNotModified(headers: ConditionHeaders, read: ReadItem): boolean {
  const match = tagsOf(headers, 'if-match');
  if (match !== null) requirePrecondition(read.item.item_id, read.item.sequence, { match: versionsOf(match) });
  const none = tagsOf(headers, 'if-none-match');
  return none !== null && (none === '*' || none.map(withoutWeakness).includes(etagOfRead(read)));
}

const withoutWeakness = (tag: string): string => tag.replace(/^W\//, '');

const versionsOf = (tags: '*' | string[]): Versions => (tags === '*' ? 'any' : tags.flatMap((tag) => OURS.exec(tag)?.[1] ?? []).map(Number));

function tagsOf(headers: ConditionHeaders, name: keyof ConditionHeaders): '*' | string[] | null {
  const text = headers[name]?.trim();
  if (text === undefined) return null;
  return text === '*' ? text : [...text.matchAll(TAGS)].map(([tag]) => tag);
}
