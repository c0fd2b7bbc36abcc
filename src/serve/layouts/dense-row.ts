/** The inner loop of `dense`: one sample's ranked entries into arrays of k a position. */

import type { Ranked } from '../../encode/ranked.ts';
import type { Dropped } from './layout.ts';

/** A temperature other than the stored one. */
export interface Temperature {
  readonly value: number;
  /** log Z at that temperature, a position, where it is known. */
  readonly logZ?: Float32Array;
}

export interface DenseArrays {
  readonly ids: Int32Array;
  readonly logprobs: Float32Array;
  readonly rest: Float32Array;
}

export interface FillOptions {
  /** Entries that a position has room for. */
  readonly k: number;
  readonly temperature: Temperature | undefined;
  /** V */
  readonly width: number;
  /** Ids from here on are not sent. */
  readonly vocabulary: number;
}

/** Arrays for positions, padded; what is not sent is mass of the rest. */
export function fillRow(
  entries: Ranked,
  options: FillOptions,
): { arrays: DenseArrays; dropped: Dropped } {
  const { k, temperature, vocabulary, width } = options;
  const { offsets, ids, logprobs, rest } = entries;
  const count = offsets.length - 1;
  const out: DenseArrays = {
    ids: new Int32Array(count * k),
    logprobs: new Float32Array(count * k).fill(Number.NEGATIVE_INFINITY),
    rest: new Float32Array(count),
  };
  const scale = 1 / (temperature?.value ?? 1);
  const dropped = { entries: 0, mass: 0 };
  for (let t = 0; t < count; t++) {
    const logZ =
      temperature === undefined
        ? 0
        : (temperature.logZ?.[t] ?? spreadLogZ(entries, { position: t, scale, width }));
    let at = t * k;
    let sent = 0;
    let cut = 0;
    for (let i = offsets[t]; i < offsets[t + 1]; i++) {
      if (ids[i] >= vocabulary) {
        const mass = Math.exp(logprobs[i] * scale - logZ);
        dropped.entries++;
        dropped.mass += mass;
        cut += mass;
      } else if (at < (t + 1) * k) {
        const logprob = temperature === undefined ? logprobs[i] : logprobs[i] * scale - logZ;
        out.ids[at] = ids[i];
        out.logprobs[at++] = logprob;
        if (temperature !== undefined) sent += Math.exp(logprob);
      } else if (temperature === undefined) cut += Math.exp(logprobs[i]);
    }
    if (temperature !== undefined) out.rest[t] = Math.max(0, 1 - sent);
    else if (rest.length > 0) out.rest[t] = rest[t] + cut;
  }
  return { arrays: out, dropped };
}

/** log Σ p^(1/T) where the rest is spread uniformly over the ids that are not stored. */
export function spreadLogZ(
  { offsets, logprobs, rest }: Pick<Ranked, 'offsets' | 'logprobs' | 'rest'>,
  { position, scale, width }: { position: number; scale: number; width: number },
): number {
  const others = width - (offsets[position + 1] - offsets[position]);
  let sum = others > 0 ? others * (rest[position] / others) ** scale : 0;
  for (let i = offsets[position]; i < offsets[position + 1]; i++) {
    sum += Math.exp(logprobs[i] * scale);
  }
  return Math.log(sum);
}
