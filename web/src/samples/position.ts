/** What one position of a row holds, in numbers: pure, so that it can be tested without a page. */
import type { Row, RowTargets } from '../types.ts';

export interface Entry {
  readonly id: number;
  readonly p: number;
}

export interface Position {
  readonly index: number;
  readonly learned: boolean;
  /** Most probable first. */
  readonly entries: readonly Entry[];
  /** Mass of all that is not stored; null for weights drawn without bias. */
  readonly rest: number | null;
  /** The token that came next; null at the end. */
  readonly next: number | null;
  /** Nats. The rest counts as spread evenly over the ids that are not stored. */
  readonly entropy: number | null;
  /** −log p of the token that came next, nats; null where nothing tells. */
  readonly surprise: number | null;
}

export function positionsOf(row: Row, set: RowTargets, labelSpace: number): Position[] {
  let from = 0;
  return row.tokens.map((_, index) => {
    const to = from + set.counts[index];
    const entries = set.ids.slice(from, to).map((id, i) => ({ id, p: set.probs[from + i] }));
    entries.sort((a, b) => b.p - a.p || a.id - b.id);
    from = to;
    const rest = set.rest === null ? null : set.rest[index];
    const next = row.tokens[index + 1] ?? null;
    return {
      index,
      learned: row.mask[index],
      entries,
      rest,
      next,
      entropy: entries.length === 0 ? null : entropyOf(entries, rest, labelSpace),
      surprise: surpriseOf(entries, next, set.label_logprob?.[index] ?? null),
    };
  });
}

function entropyOf(entries: readonly Entry[], rest: number | null, labelSpace: number): number {
  const kept = entries.reduce((sum, { p }) => sum + (p > 0 ? -p * Math.log(p) : 0), 0);
  const others = labelSpace - entries.length;
  if (rest === null || rest <= 0 || others <= 0) return kept;
  return kept - rest * Math.log(rest / others);
}

function surpriseOf(
  entries: readonly Entry[],
  next: number | null,
  stored: number | null,
): number | null {
  if (next === null) return null;
  if (stored !== null) return -stored;
  const entry = entries.find(({ id }) => id === next);
  return entry === undefined || entry.p <= 0 ? null : -Math.log(entry.p);
}
