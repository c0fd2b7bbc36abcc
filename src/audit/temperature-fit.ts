/**
 * The temperature at which known probabilities fit the tokens that came, by maximum likelihood: T
 * such that p^(1/T), normalised over the known entries, is most likely. Only positions whose token
 * is one of those entries count, and only among them: that is exact for every temperature, whatever
 * the rest holds, and a tail that was cut off cannot be taken for a wrong temperature.
 */

/** β = 1/T is tried at 1, 2, … `betas` times this: T from 1/3 to 8. */
const betaStep = 1 / 8;
const betas = 24;
/** Where the tokens tell T less well than this (standard error over T), nothing is said. */
const errorMax = 0.2;

/** Sums of log-likelihoods at each β. */
export function newFit(): number[] {
  return new Array<number>(betas).fill(0);
}

const sums = new Float64Array(betas);

/** Adds a position: the log-probs of its known entries in [0, count), and that of its token. */
export function addFit(
  fit: number[],
  logprobs: Float64Array,
  { count, own }: { count: number; own: number },
): void {
  if (count < 2) return;
  let top = logprobs[0];
  for (let i = 1; i < count; i++) if (logprobs[i] > top) top = logprobs[i];
  sums.fill(0);
  // p^β at multiples of a step are powers of one exponential; four entries at a time, since each
  // power waits for the one before it
  for (let i = 0; i < count; i += 4) {
    const [a, b, c, d] = [
      Math.exp((logprobs[i] - top) * betaStep),
      i + 1 < count ? Math.exp((logprobs[i + 1] - top) * betaStep) : 0,
      i + 2 < count ? Math.exp((logprobs[i + 2] - top) * betaStep) : 0,
      i + 3 < count ? Math.exp((logprobs[i + 3] - top) * betaStep) : 0,
    ];
    let [p, q, r, s] = [1, 1, 1, 1];
    for (let j = 0; j < betas; j++) {
      p *= a;
      q *= b;
      r *= c;
      s *= d;
      sums[j] = sums[j] + p + q + r + s;
    }
  }
  const ahead = (own - top) * betaStep;
  for (let j = 0; j < betas; j++) fit[j] += (j + 1) * ahead - Math.log(sums[j]);
}

export interface FittedTemperature {
  readonly temperature: number;
  /** Its standard error. */
  readonly error: number;
}

/** Undefined where the positions do not tell it; at the ends of the range, the end. */
export function fittedTemperature(fit: readonly number[]): FittedTemperature | undefined {
  let best = 0;
  for (let j = 1; j < betas; j++) if (fit[j] > fit[best]) best = j;
  const middle = Math.min(betas - 2, Math.max(1, best));
  const [below, at, above] = [fit[middle - 1], fit[middle], fit[middle + 1]];
  const curvature = 2 * at - below - above; // −log-likelihood'' · step²
  if (!(curvature > 0)) return undefined;
  const shift = Math.min(1, Math.max(-1, (above - below) / 2 / curvature));
  const beta = middle + 1 + shift;
  const relative = 1 / Math.sqrt(curvature) / beta;
  if (relative > errorMax) return undefined;
  const temperature = 1 / (beta * betaStep);
  return { temperature, error: temperature * relative };
}
