/**
 * How an epoch draws from several streams: exact totals, and in every step the floor or the ceiling
 * of each stream's ideal count. Integer arithmetic, no random draws, any step in O(streams · log
 * steps). docs/plan.md gives the algorithm exactly; Python repeats it.
 */
import type { PlanIdentity } from '../../schemas/plan.ts';
import { LogitcaskError } from '../errors.ts';

/** How an epoch divides into steps; counts are of items: samples, or packs. */
export interface Mix {
  /** Items of an epoch with nothing dropped or padded. */
  readonly size: number;
  /** Items that an epoch has of each stream. */
  readonly quotas: readonly number[];
  /** Whole steps. */
  readonly full: number;
  /** Items of the whole steps, by stream. */
  readonly fullQuotas: readonly number[];
  /** Number of items of each stream before a step, and in it; `step` is at most `full`. */
  before(step: number): number[];
  counts(step: number): number[];
}

type Shares = Pick<PlanIdentity, 'streams' | 'global_batch' | 'epoch_size' | 'stop'>;

/** `items` is the number of each stream's items. Throws `request-invalid` on impossible shares. */
export function createMix(shares: Shares, items: readonly number[]): Mix {
  const { size, quotas } = epochOf(shares, items);
  const batch = shares.global_batch;
  const full = Math.floor(size / batch);
  const fullQuotas = divide(full * batch, quotas);
  const rotation = createRotation(full, fullQuotas);
  const before = (step: number) => {
    const extras = rotation(step);
    return fullQuotas.map((quota, i) => step * Math.floor(quota / full || 0) + extras[i]);
  };
  return {
    size,
    quotas,
    full,
    fullQuotas,
    before,
    counts(step) {
      const start = before(step);
      const end = step < full ? before(step + 1) : quotas;
      return start.map((at, i) => end[i] - at);
    },
  };
}

function epochOf(
  { streams, epoch_size: asked, stop }: Shares,
  items: readonly number[],
): { size: number; quotas: number[] } {
  const weights = streams.map(({ proportion, repeat = 1, choose }, i) =>
    BigInt(proportion ?? choose ?? repeat * items[i]),
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0n);
  const size = asked ?? Number(naturalSize(streams, { weights, total, items, stop }));
  if (!Number.isSafeInteger(size) || total > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw impossible('an epoch of more than 2^53 items', size);
  }
  if (total === 0n && size > 0) throw impossible('an epoch of items where there are none', size);
  const quotas = divideBy(BigInt(size), weights);
  const empty = quotas.findIndex((quota, i) => quota > 0 && items[i] === 0);
  if (empty < 0) return { size, quotas };
  throw impossible(`${quotas[empty]} items of stream ${empty}, which has none`, quotas[empty]);
}

/** Without `epoch_size`: the sum of absolute shares, or until the first or all streams are seen. */
function naturalSize(
  streams: Shares['streams'],
  options: {
    weights: readonly bigint[];
    total: bigint;
    items: readonly number[];
    stop: Shares['stop'];
  },
): bigint {
  const { weights, total, items, stop } = options;
  if (streams[0].proportion === undefined) return total;
  const sizes = weights.map((weight, i) => {
    const whole = BigInt(items[i]) * total;
    return stop === 'first' ? whole / weight : (whole + weight - 1n) / weight;
  });
  return sizes.reduce((best, size) => (size < best === (stop === 'first') ? size : best));
}

function impossible(what: string, got: number): LogitcaskError {
  const message = `plan: the request asks for ${what}; change its shares, filter or epoch_size`;
  return new LogitcaskError('request-invalid', message, { got });
}

/** A number divided by cumulative floor: the floor or the ceiling of each weight's ideal. */
function divideBy(whole: bigint, weights: readonly bigint[]): number[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0n);
  let sum = 0n;
  let given = 0n;
  return weights.map((weight) => {
    sum += weight;
    const end = total === 0n ? 0n : (whole * sum) / total;
    const own = end - given;
    given = end;
    return Number(own);
  });
}

function divide(whole: number, weights: readonly number[]): number[] {
  return divideBy(BigInt(whole), weights.map(BigInt));
}

/**
 * What streams have in steps before a step beyond the whole number that they have in each. Of S
 * steps, step t draws with the offset (t · a mod S): systematic sampling whose offsets visit every
 * residue once, in an order that is spread evenly.
 */
function createRotation(
  steps: number,
  quotas: readonly number[],
): (step: number) => readonly number[] {
  if (quotas.length === 1 || steps === 0) return () => quotas.map(() => 0);
  const stride = BigInt(strideOf(steps));
  const period = BigInt(steps);
  const bounds = [0n];
  for (const quota of quotas) bounds.push(bounds.at(-1)! + BigInt(quota % steps));
  return (step) => {
    const sums = bounds.map((bound) => floorSum(BigInt(step), period, stride, bound));
    return quotas.map((_, i) => Number(sums[i + 1] - sums[i]));
  };
}

/** The least stride from the golden section of n on that visits every residue of n. */
export function strideOf(n: number): number {
  let stride = Math.max(1, Math.floor(n * 0.6180339887498949));
  while (gcd(stride, n) !== 1) stride++;
  return stride;
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** Σ ⌊(a · i + b) / m⌋ over 0 ≤ i < n, in O(log m); a, b ≥ 0. */
function floorSum(n: bigint, m: bigint, a: bigint, b: bigint): bigint {
  let [count, modulus, slope, offset] = [n, m, a, b];
  let sum = 0n;
  while (count > 0n) {
    sum += ((count * (count - 1n)) / 2n) * (slope / modulus) + count * (offset / modulus);
    slope %= modulus;
    offset %= modulus;
    const top = slope * count + offset;
    if (top < modulus) break;
    count = top / modulus;
    offset = top % modulus;
    [modulus, slope] = [slope, modulus];
  }
  return sum;
}

/**
 * Which stream each place of a step has, spread evenly: place q has slot q · g mod n of the
 * streams' slots in a row, g the stride of n.
 */
export function spread(counts: readonly number[]): Uint16Array {
  const size = counts.reduce((sum, count) => sum + count, 0);
  const slots = new Uint16Array(size);
  let at = 0;
  for (const [stream, count] of counts.entries()) {
    slots.fill(stream, at, at + count);
    at += count;
  }
  const stride = strideOf(size);
  const places = new Uint16Array(size);
  for (let q = 0, slot = 0; q < size; q++, slot = (slot + stride) % size) places[q] = slots[slot];
  return places;
}
