/** The id of an entry at the same place, but of another answer. */
export function withOtherNonce(id: string): string {
  const at = id.length - 3; // the last characters hold fewer bits than they could
  return id.slice(0, at) + (id[at] === 'A' ? 'B' : 'A') + id.slice(at + 1);
}
