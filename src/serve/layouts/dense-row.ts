/** The inner loop of `dense`: one sample's targets into padded arrays, entries in rank order. */
import type { DecodedTargets } from '../../distribution/targets.ts';

/** A temperature other than the stored one; logZ a position where it is known. */
export interface Temperature {
  readonly value: number;
  readonly logZ?: Float32Array;
}

export interface DenseArrays {
  readonly ids: Int32Array;
  readonly logprobs: Float32Array;
  readonly rest: Float32Array;
}

export interface FillOptions {
  readonly row: number;
  /** L */
  readonly positions: number;
  readonly k: number;
  readonly temperature: Temperature | undefined;
  /** Entries are in rank order already. */
  readonly ranked: boolean;
  /** V */
  readonly width: number;
}

export function fillRow(out: DenseArrays, targets: DecodedTargets, options: FillOptions): void {
  const { row, positions, k, temperature } = options;
  const scratch = {
    probs: new Float32Array(0),
    ids: new Uint32Array(0),
    keys: new Float64Array(0),
  };
  for (let t = 0; t < targets.count; t++) {
    const from = targets.offsets[t];
    const count = targets.offsets[t + 1] - from;
    if (scratch.ids.length < count) {
      scratch.probs = new Float32Array(count);
      scratch.ids = new Uint32Array(count);
      scratch.keys = new Float64Array(count);
    }
    rank(targets, { from, count, ranked: options.ranked }, scratch);
    const at = row * positions + t;
    const sent = Math.min(k, count);
    let logZ = 0;
    let scale = 1;
    if (temperature !== undefined) {
      scale = 1 / temperature.value;
      logZ =
        temperature.logZ?.[t] ??
        spreadLogZ(scratch.probs.subarray(0, count), {
          rest: targets.rest[t],
          others: options.width - count,
          scale,
        });
    }
    let mass = 0;
    for (let i = 0; i < sent; i++) {
      const logp = Math.log(scratch.probs[i]) * scale - logZ;
      out.ids[at * k + i] = scratch.ids[i];
      out.logprobs[at * k + i] = logp;
      mass += scale === 1 ? scratch.probs[i] : Math.exp(logp);
    }
    if (temperature !== undefined) out.rest[at] = Math.max(0, 1 - mass);
    else if (targets.rest.length > 0)
      out.rest[at] = targets.rest[t] + cut(scratch.probs, sent, count);
  }
}

/** Mass of the entries that `k` cuts off. */
function cut(probs: Float32Array, sent: number, count: number): number {
  let mass = 0;
  for (let i = sent; i < count; i++) mass += probs[i];
  return mass;
}

/** log Σ p^scale where the rest is spread uniformly over the ids that are not stored. */
function spreadLogZ(
  probs: Float32Array,
  { rest, others, scale }: { rest: number; others: number; scale: number },
): number {
  let sum = others > 0 ? others * (rest / others) ** scale : 0;
  for (let i = 0; i < probs.length; i++) sum += probs[i] ** scale;
  return Math.log(sum);
}

/** Entries of a position by value descending, id ascending. */
function rank(
  { probs, ids }: DecodedTargets,
  { from, count, ranked }: { from: number; count: number; ranked: boolean },
  scratch: { probs: Float32Array; ids: Uint32Array; keys: Float64Array },
): void {
  if (ranked) {
    scratch.probs.set(probs.subarray(from, from + count));
    scratch.ids.set(ids.subarray(from, from + count));
    return;
  }
  // float32 bits of a positive number order like the number: 31 bits of it above the entry's place,
  // and ids ascend already
  const bits = new Uint32Array(probs.buffer, probs.byteOffset + 4 * from, count);
  const { keys } = scratch;
  for (let i = 0; i < count; i++) keys[i] = (0x7fffffff - bits[i]) * 65_536 + i;
  keys.subarray(0, count).sort();
  for (let i = 0; i < count; i++) {
    const entry = from + (keys[i] % 65_536);
    scratch.probs[i] = probs[entry];
    scratch.ids[i] = ids[entry];
  }
}
