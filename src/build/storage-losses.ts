/** What stored targets lose, position by position, against lists long enough to count as exact. */
import type { ListRows } from '../distribution/rows.ts';
import type { Targets } from '../distribution/targets.ts';
import type { Grid } from '../encode/levels.ts';
import { topK } from '../sparsify/top-k.ts';

const entriesMax = 1024;
const drawsPublished = 50;
const drawBytes = 3; // 24 bits: an id and its count

/** Lists so long that what lies beyond them is flat. */
export const exactLists = topK({ k: entriesMax });

/** The lists as a source of top lists would give them: a shorter cut of them is a row's own. */
export function rowsOf({ count, offsets, ids, logprobs, rest }: Targets, width: number): ListRows {
  return { form: 'lists', count, width, offsets, ids, logprobs, tail: rest };
}

/** Σ p² of row t beyond its list, whose mass is spread over the ids that are left. */
function squaresBeyond({ offsets, rest }: Targets, t: number, width: number): number {
  return rest[t] ** 2 / Math.max(1, width - (offsets[t + 1] - offsets[t]));
}

/**
 * Variance Σ E(weight − p)² of `threshold`, in closed form: p(τ − p) where p < τ is drawn, and
 * (p − low)(high − p) where p ≥ τ is rounded at random to one of two levels. `width` is V.
 */
export function variances(exact: Targets, { step, tau }: Grid, width: number): Float64Array {
  const { count, offsets, logprobs, rest } = exact;
  return Float64Array.from({ length: count }, (_, t) => {
    let sum = tau * rest[t] - squaresBeyond(exact, t, width);
    for (let i = offsets[t]; i < offsets[t + 1]; i++) {
      const p = Math.exp(logprobs[i]);
      const level = Math.floor(Math.sqrt(p) / step);
      sum += p < tau ? p * (tau - p) : (p - (level * step) ** 2) * (((level + 1) * step) ** 2 - p);
    }
    return sum;
  });
}

/** Sums over positions of what 50 random draws with counts take and lose (closed forms). */
export function randomDraws(exact: Targets, width: number): { bytes: number; variance: number } {
  const { count, offsets, logprobs, rest } = exact;
  let distinct = 0;
  let squares = 0;
  for (let t = 0; t < count; t++) {
    for (let i = offsets[t]; i < offsets[t + 1]; i++) {
      const p = Math.min(1, Math.exp(logprobs[i]));
      distinct += 1 - (1 - p) ** drawsPublished;
      squares += p * p;
    }
    distinct += drawsPublished * rest[t]; // each less than 1/1024: hardly drawn twice
    squares += squaresBeyond(exact, t, width);
  }
  return { bytes: drawBytes * distinct, variance: (count - squares) / drawsPublished };
}
