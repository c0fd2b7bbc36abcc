/** Mean, maximum and 99th percentile of any number of values, in fixed room; p99 to within 9 %. */
import type { Fidelity } from '../../schemas/manifest.ts';
import { rounded } from '../distribution/rounded.ts';

/** Bins an octave, and the octaves below and above 1; what lies lower is in the first bin. */
const binsPerOctave = 8;
const octavesBelow = 40;
const octavesAbove = 10;
const bins = binsPerOctave * (octavesBelow + octavesAbove);

/** Plain data. */
export interface Sketch {
  count: number;
  sum: number;
  max: number;
  readonly bins: number[];
}

export function newSketch(): Sketch {
  return { count: 0, sum: 0, max: 0, bins: new Array<number>(bins).fill(0) };
}

/** Values below 0, which only rounding makes of distances, count as 0. */
export function addTo(sketch: Sketch, value: number): void {
  const x = Math.max(0, value);
  const bin = x > 0 ? Math.floor((Math.log2(x) + octavesBelow) * binsPerOctave) : 0;
  sketch.bins[Math.min(bins - 1, Math.max(0, bin))]++;
  sketch.count++;
  sketch.sum += x;
  sketch.max = Math.max(sketch.max, x);
}

export function mergeSketches(a: Sketch, b: Sketch): Sketch {
  return {
    count: a.count + b.count,
    sum: a.sum + b.sum,
    max: Math.max(a.max, b.max),
    bins: a.bins.map((n, i) => n + b.bins[i]),
  };
}

/** Null where there were no values. */
export function summaryOf({ count, sum, max, bins: counts }: Sketch): Fidelity['kl'] {
  if (count === 0) return null;
  const wanted = Math.min(count - 1, Math.floor(count * 0.99));
  let bin = 0;
  for (let seen = counts[0]; seen <= wanted; seen += counts[++bin]);
  const edge = 2 ** ((bin + 1) / binsPerOctave - octavesBelow);
  return { mean: rounded(sum / count), p99: rounded(Math.min(edge, max)), max: rounded(max) };
}
