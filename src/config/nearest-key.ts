/** The known key that a misspelt one is nearest to. */

/**
 * Nearest by edits of the last part of the path; at equal distance by those of the whole path, so
 * that neighbours win over keys elsewhere.
 */
export function nearestKey(path: string, known: readonly string[]): string {
  const distance = (candidate: string) =>
    edits(lastOf(path), lastOf(candidate)) + edits(path, candidate) / 1000;
  return known.reduce((best, next) => (distance(next) < distance(best) ? next : best));
}

function lastOf(path: string): string {
  return path.slice(path.lastIndexOf('.') + 1);
}

/** Levenshtein's distance; case and the kind of separator do not count. */
function edits(a: string, b: string): number {
  const [from, to] = [plainOf(a), plainOf(b)];
  let row = Array.from({ length: to.length + 1 }, (_, j) => j);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const change = row[j - 1] + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[to.length];
}

function plainOf(key: string): string {
  return key.toLowerCase().replaceAll('-', '_');
}
