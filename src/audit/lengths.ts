/** A histogram of lengths: bins of whole numbers, four to each doubling. */
import type { Histogram } from '../../schemas/audit.ts';

const perOctave = 4;

/** 0, 1, 2, …, 8, 10, 12, 14, 16, 20, … up to 2^32. */
const edges: readonly number[] = edgesUpTo(2 ** 32);
export const lengthBins = edges.length - 1;

function edgesUpTo(most: number): number[] {
  const found = Array.from({ length: 2 * perOctave }, (_, i) => i);
  for (let from = 2 * perOctave; from < most; from *= 2) {
    for (let i = 0; i < perOctave; i++) found.push(from + (from / perOctave) * i);
  }
  return [...found, most];
}

/** The bin of a length. */
export function binOf(length: number): number {
  if (length < 2 * perOctave) return length;
  const octave = 31 - Math.clz32(length); // 3 or more
  const step = 2 ** (octave - 2);
  return 2 * perOctave + (octave - 3) * perOctave + Math.floor(length / step) - perOctave;
}

/** Without the empty bins at both ends. */
export function lengthHistogram(counts: readonly number[]): Histogram {
  const from = counts.findIndex((count) => count > 0);
  if (from < 0) return { edges: [], counts: [] };
  const to = counts.findLastIndex((count) => count > 0) + 1;
  return { edges: edges.slice(from, to + 1), counts: counts.slice(from, to) };
}
