/** Slow and plain readings of the mathematics, in float64: what the fast code is held against. */

/** The maximum and log Σ exp(x − maximum), smallest terms first; −inf entries add nothing. */
function maxAndLogSum(values: readonly number[]): { max: number; logSum: number } {
  const max = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  let total = 0;
  for (const value of [...values].sort((a, b) => a - b)) total += Math.exp(value - max);
  return { max, logSum: Math.log(total) };
}

export function logSumExp(values: readonly number[]): number {
  const { max, logSum } = maxAndLogSum(values);
  return max + logSum;
}

/** Ids of the finite values: value descending, id ascending on ties; −0 equals 0. */
export function ranked(values: readonly number[], k = values.length): number[] {
  return values
    .map((_, id) => id)
    .filter((id) => values[id] !== Number.NEGATIVE_INFINITY)
    .sort((a, b) => values[b] - values[a] || a - b)
    .slice(0, k);
}

export function logSoftmax(values: readonly number[]): number[] {
  const { max, logSum } = maxAndLogSum(values);
  return values.map((value) => value - max - logSum);
}

/** log Σ exp(logp / T) */
export function logZ(values: readonly number[], temperature: number): number {
  return logSumExp(logSoftmax(values).map((logp) => logp / temperature));
}

/** float16 bits as a number, from the definition. */
export function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -14 : sign * (1 + fraction) * 2 ** (exponent - 15);
}

/** bfloat16 bits as a number: the upper half of a float32. */
export function brainValue(bits: number): number {
  return new Float32Array(Uint32Array.of(bits << 16).buffer)[0];
}

export function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
