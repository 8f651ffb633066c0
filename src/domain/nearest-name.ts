const MAX_EDITS = 2;

/** @returns the name that differs from this one by the fewest characters, two at most; null: there is none */
export function nearestName(name: string, names: Iterable<string>): string | null {
  let nearest: string | null = null;
  let fewest = Math.min(MAX_EDITS, Math.floor(name.length / 2)) + 1;
  for (const candidate of names) {
    if (Math.abs(candidate.length - name.length) >= fewest) continue;
    const edits = editsBetween(name, candidate, fewest);
    if (edits < fewest) [nearest, fewest] = [candidate, edits];
  }
  return nearest;
}

/** Levenshtein distance, or `limit` when it is at least that. */
function editsBetween(a: string, b: string, limit: number): number {
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    let fewest = row;
    for (let column = 1; column <= b.length; column++) {
      const [left, up, corner] = [current[column - 1] ?? limit, above[column] ?? limit, above[column - 1] ?? limit];
      const edits = Math.min(left + 1, up + 1, corner + (a[row - 1] === b[column - 1] ? 0 : 1));
      current.push(edits);
      fewest = Math.min(fewest, edits);
    }
    if (fewest >= limit) return limit;
    above = current;
  }
  return above[b.length] ?? limit;
}
