/** What one position of a row holds, in numbers: pure, so that it can be tested without a page. */
import type { ImageRow, Row, RowTargets } from '../types.ts';

export interface Entry {
  readonly id: number;
  readonly p: number;
}

export interface Position {
  readonly index: number;
  readonly learned: boolean;
  /** Most probable first. */
  readonly entries: readonly Entry[];
  /** Mass of all that is not stored; null for scores, and for weights drawn without bias. */
  readonly rest: number | null;
  /** The hard label: of a text the token that came next. Null where there is none. */
  readonly label: number | null;
  /** Nats. The rest counts as spread evenly over the ids that are not stored; scores are summed. */
  readonly entropy: number | null;
  /** −log p of the hard label, nats; null where nothing tells. */
  readonly surprise: number | null;
}

/** A target set, as the statistics tell it. */
export interface SetSpace {
  /** Classes that it is over. */
  readonly labelSpace: number;
  /** Each entry is a probability of its own: they need not sum to 1. */
  readonly hasScores?: boolean;
  /** Of other classes than the hard labels. */
  readonly hasOwnClasses?: boolean;
}

export function positionsOf(row: Row, set: RowTargets, space: SetSpace): Position[] {
  const { labelSpace, hasScores = false, hasOwnClasses = false } = space;
  const labels = hasOwnClasses ? [] : 'tokens' in row ? row.tokens.slice(1) : labelsOf(row);
  let from = 0;
  return row.mask.map((learned, index) => {
    const to = from + set.counts[index];
    const entries = set.ids.slice(from, to).map((id, i) => ({ id, p: set.probs[from + i] }));
    entries.sort((a, b) => b.p - a.p || a.id - b.id);
    from = to;
    const rest = set.rest === null || hasScores ? null : set.rest[index];
    const entropy = hasScores ? scoresEntropy(entries) : entropyOf(entries, rest, labelSpace);
    const label = labels[index] ?? null;
    return {
      index,
      learned,
      entries,
      rest,
      label,
      entropy: entries.length === 0 ? null : entropy,
      surprise: surpriseOf(entries, label, set.label_logprob?.[index] ?? null),
    };
  });
}

/** The hard label of each position; null where it has none. */
export function labelsOf({ mask, inputs }: ImageRow): (number | null)[] {
  const labels = inputs.hard_label as readonly number[] | undefined;
  return mask.map((_, index) => {
    const label = labels?.[index] ?? -1;
    return label < 0 ? null : label;
  });
}

function entropyOf(entries: readonly Entry[], rest: number | null, labelSpace: number): number {
  const kept = entries.reduce((sum, { p }) => sum + (p > 0 ? -p * Math.log(p) : 0), 0);
  const others = labelSpace - entries.length;
  if (rest === null || rest <= 0 || others <= 0) return kept;
  return kept - rest * Math.log(rest / others);
}

/** Of so many answers of yes or no. */
function scoresEntropy(entries: readonly Entry[]): number {
  const part = (p: number) => (p > 0 ? -p * Math.log(p) : 0);
  return entries.reduce((sum, { p }) => sum + part(p) + part(1 - p), 0);
}

function surpriseOf(
  entries: readonly Entry[],
  label: number | null,
  stored: number | null,
): number | null {
  if (label === null) return null;
  if (stored !== null) return -stored;
  const entry = entries.find(({ id }) => id === label);
  return entry === undefined || entry.p <= 0 ? null : -Math.log(entry.p);
}
