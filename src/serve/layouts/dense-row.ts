/** The inner loop of `dense`: one sample's ranked entries into padded arrays. */
import type { Ranked } from './ranked.ts';

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
  /** Position of the batch at which the sample begins. */
  readonly first: number;
  /** Entries that a position has room for. */
  readonly k: number;
  readonly temperature: Temperature | undefined;
  /** V */
  readonly width: number;
}

export function fillRow(out: DenseArrays, entries: Ranked, options: FillOptions): void {
  const { first, k, temperature } = options;
  const { offsets, ids, logprobs } = entries;
  for (let t = 0; t + 1 < offsets.length; t++) {
    const to = (first + t) * k;
    const sent = Math.min(k, offsets[t + 1] - offsets[t]);
    for (let i = 0; i < sent; i++) {
      out.ids[to + i] = ids[offsets[t] + i];
      out.logprobs[to + i] = logprobs[offsets[t] + i];
    }
  }
  if (temperature !== undefined) temper(out, entries, { ...options, temperature });
  else if (entries.rest.length > 0) addRest(out, entries, options);
}

/** What `k` cuts off joins the rest. */
function addRest(out: DenseArrays, entries: Ranked, { first, k }: FillOptions): void {
  const { offsets, logprobs, rest } = entries;
  for (let t = 0; t < rest.length; t++) {
    let mass = rest[t];
    for (let i = offsets[t] + k; i < offsets[t + 1]; i++) mass += Math.exp(logprobs[i]);
    out.rest[first + t] = mass;
  }
}

/** log p at temperature T is log p / T − log Z_T; what is not sent is the rest. */
function temper(
  out: DenseArrays,
  entries: Ranked,
  { first, k, temperature, width }: FillOptions & { temperature: Temperature },
): void {
  const { offsets } = entries;
  const scale = 1 / temperature.value;
  for (let t = 0; t + 1 < offsets.length; t++) {
    const logZ = temperature.logZ?.[t] ?? spreadLogZ(entries, { position: t, scale, width });
    const from = (first + t) * k;
    const to = from + Math.min(k, offsets[t + 1] - offsets[t]);
    let mass = 0;
    for (let i = from; i < to; i++) {
      const logp = out.logprobs[i] * scale - logZ;
      out.logprobs[i] = logp;
      mass += Math.exp(logp);
    }
    out.rest[first + t] = Math.max(0, 1 - mass);
  }
}

/** log Σ p^(1/T) where the rest is spread uniformly over the ids that are not stored. */
function spreadLogZ(
  { offsets, logprobs, rest }: Ranked,
  { position, scale, width }: { position: number; scale: number; width: number },
): number {
  const others = width - (offsets[position + 1] - offsets[position]);
  let sum = others > 0 ? others * (rest[position] / others) ** scale : 0;
  for (let i = offsets[position]; i < offsets[position + 1]; i++) {
    sum += Math.exp(logprobs[i] * scale);
  }
  return Math.log(sum);
}
