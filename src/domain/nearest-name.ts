const MAX_EDITS = 2;

/** @returns the name that differs from this one by the fewest characters, two at most; null: there is none */
export function nearestName(name: string, names: Iterable<string>): string | null {
  let nearest: string | null = null;
  let edits = Math.min(MAX_EDITS, Math.floor(name.length / 2));
  for (const candidate of names) {
    while (edits > 0 && isWithin(edits, name, candidate)) {
      nearest = candidate;
      edits--; // only a nearer one is better
    }
  }
  return nearest;
}

/** Whether inserting, deleting and replacing this number of characters at most makes one text from the position of `a` to that of `b`. */
function isWithin(edits: number, a: string, b: string, atA = 0, atB = 0): boolean {
  if (Math.abs(a.length - atA - (b.length - atB)) > edits) return false;
  let [i, j] = [atA, atB];
  while (i < a.length && j < b.length && a.charCodeAt(i) === b.charCodeAt(j)) {
    i++;
    j++;
  }
  if (i === a.length || j === b.length) return true; // what is left of the other one are insertions, counted above
  return edits > 0 && (isWithin(edits - 1, a, b, i + 1, j + 1) || isWithin(edits - 1, a, b, i + 1, j) || isWithin(edits - 1, a, b, i, j + 1));
}
