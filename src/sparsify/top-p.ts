/** Keeps the fewest entries that hold mass p, at least `floor` and at most `cap` of them. */
import { scaledSparsifier } from './scaled.ts';
import type { Sparsifier } from './sparsifier.ts';

export interface TopPOptions {
  /** Mass to hold, in (0, 1]. */
  readonly p: number;
  readonly floor: number;
  readonly cap: number;
}

export function topP({ p, floor, cap }: TopPOptions): Sparsifier {
  return scaledSparsifier({
    name: 'top-p',
    entriesMax: cap,
    parameters: { p, floor, cap },
    cut(logprobs, { from, count }) {
      let mass = 0;
      for (let kept = 0; kept < count; kept++) {
        if (kept >= floor && mass >= p) return kept;
        mass += Math.exp(logprobs[from + kept]);
      }
      return count;
    },
  });
}
