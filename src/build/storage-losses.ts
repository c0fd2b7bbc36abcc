/** Lists long enough to count as exact, and what random draws from them take and lose. */
import { squaresBeyond } from '../audit/storage-choices.ts';
import type { Targets } from '../distribution/targets.ts';
import { topK } from '../sparsify/top-k.ts';

const entriesMax = 1024;
const drawsPublished = 50;
const drawBytes = 3; // 24 bits: an id and its count

/** Lists so long that what lies beyond them is flat. */
export const exactLists = topK({ k: entriesMax });

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
