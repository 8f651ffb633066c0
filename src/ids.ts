/** Characters, that is code points, of the longest id. */
export const MAX_ID_LENGTH = 128;

/**
 * No white space, control, format or surrogate characters. `.` and `..` are no ids: URLs drop them from a path. Categories that gain
 * members with each version of Unicode are not excluded, so that every part of the product accepts the same ids.
 * `models/dff/item_ids.py` is the same rule, and test/ids.json is tested against both.
 */
const CHARACTERS = '[^\\p{Z}\\p{Cc}\\p{Cf}\\p{Cs}]+$';
const ID_PATTERN = `^(?!\\.{1,2}$)${CHARACTERS}`;
const KNOWN_ID_PATTERN = `^${CHARACTERS}`;
export const ID_PATTERNS: ReadonlySet<string> = new Set([ID_PATTERN, KNOWN_ID_PATTERN]);

export const ID_RULE = `1 to ${MAX_ID_LENGTH} visible characters, and not . or ..`;

/** The rule of ids as a JSON schema. */
export const ID_SCHEMA = { minLength: 1, maxLength: MAX_ID_LENGTH, pattern: ID_PATTERN, description: ID_RULE } as const;

/** The rule without its exception, for items and users of a version that had none: they can still be read and deleted. */
export const KNOWN_ID_SCHEMA = {
  minLength: 1,
  maxLength: MAX_ID_LENGTH,
  pattern: KNOWN_ID_PATTERN,
  description: `1 to ${MAX_ID_LENGTH} visible characters`,
} as const;

/** Length of the longest id in a URL, where each of its characters takes up to four bytes of three characters. */
export const MAX_ID_URL_LENGTH = MAX_ID_LENGTH * 4 * 3;

const PATTERN = new RegExp(ID_PATTERN, 'u');

export const isId = (text: string): boolean => text.length <= 2 * MAX_ID_LENGTH && [...text].length <= MAX_ID_LENGTH && PATTERN.test(text);
