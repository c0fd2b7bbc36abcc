/**
 * round(√p / step) of a float32 log-prob by look-up: the rounding is monotone, so the log-prob at
 * which each level begins says the same as the exponential, ten times as fast.
 */

export interface Thresholds {
  /** The definition: round(exp(logprob / 2) / step). */
  readonly exact: (logprob: number) => number;
  /** At [l]: the lowest float32 of level l. [0] is −∞, the last +∞. */
  readonly lowest: Float32Array;
  /** At [c]: the level of −(c + 1) / cellsPerNat, from which a search in that cell goes up. */
  readonly cells: Uint16Array;
}

export const cellsPerNat = 256;
const infinityBits = 0x7f800000;

/** Of the steps in use: a data set has one for each target set, a search for a step has many. */
const known = new Map<number, Thresholds>();
const knownMax = 8;

export function thresholdsOf(step: number): Thresholds {
  const found = known.get(step);
  if (found !== undefined) return found;
  for (const oldest of known.keys()) if (known.size >= knownMax) known.delete(oldest);
  const made = makeThresholds(step);
  known.set(step, made);
  return made;
}

function makeThresholds(step: number): Thresholds {
  const exact = (logprob: number) => Math.round(Math.exp(logprob / 2) / step);
  const top = exact(0);
  const lowest = new Float32Array(top + 2);
  lowest[0] = Number.NEGATIVE_INFINITY;
  lowest[top + 1] = Number.POSITIVE_INFINITY;
  for (let level = 1; level <= top; level++) {
    lowest[level] = lowestOf(level, exact, 2 * Math.log((level - 0.5) * step));
  }
  const count = Math.ceil(-lowest[1] * cellsPerNat) + 1;
  const cells = Uint16Array.from({ length: count }, (_, c) => exact(-(c + 1) / cellsPerNat));
  return { exact, lowest, cells };
}

/** The lowest float32 ≤ 0 whose level is at least `level`: by the estimate, or by bisection. */
function lowestOf(level: number, exact: (logprob: number) => number, estimate: number): number {
  const float = new Float32Array([-Math.min(0, estimate)]);
  const bits = new Uint32Array(float.buffer);
  const reaches = (magnitude: number) => {
    bits[0] = magnitude;
    return exact(-float[0]) >= level;
  };
  let inside = bits[0] - 1;
  let outside = bits[0] + 1;
  if (inside < 0 || !reaches(inside) || reaches(outside)) [inside, outside] = [0, infinityBits];
  while (outside - inside > 1) {
    const middle = (inside + outside) >>> 1;
    if (reaches(middle)) inside = middle;
    else outside = middle;
  }
  bits[0] = inside;
  return -float[0];
}
