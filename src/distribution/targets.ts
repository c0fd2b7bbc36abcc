/** Targets: what is kept of each position's distribution, before a codec turns it into bytes. */

/** By their numbers in headers of frames. */
export const targetKinds = ['scaled', 'unbiased', 'independent'] as const;

export type TargetKind = (typeof targetKinds)[number];

/**
 * Targets of n positions (one sample), entries flattened position-major in rank order: value
 * descending, id ascending on ties; ids of a position are distinct.
 *
 * - scaled: exp(logprobs) are probabilities under the whole label space; `rest` is the mass not
 *   kept.
 * - unbiased: exp(logprobs) are weights that sum to 1 in expectation; `rest` is absent.
 * - independent: exp(logprobs) are probabilities of their own, which sum to nothing; no `rest`.
 */
export interface Targets {
  readonly kind: TargetKind;
  readonly count: number;
  /** Length count + 1. */
  readonly offsets: Uint32Array;
  readonly ids: Uint32Array;
  readonly logprobs: Float32Array;
  /** Residual mass in [0, 1], length count; 1 where nothing is kept. Scaled targets only. */
  readonly rest: Float32Array;
  /** Log-prob of the actual next token, length count; NaN where unknown. */
  readonly labelLogprob: Float32Array;
  /** log Σ exp(logp / T), position-major: length count × number of extra temperatures. */
  readonly logZ: Float32Array;
}

/** The part of targets that a codec gives back: entries and, for scaled targets, `rest`. */
export interface DecodedTargets {
  readonly kind: TargetKind;
  readonly count: number;
  /** Length count + 1. */
  readonly offsets: Uint32Array;
  readonly ids: Uint32Array;
  /** Probabilities, or weights (unbiased), aligned with `ids`; float32, rounded once. */
  readonly probs: Float32Array;
  /** Residual mass, length count; of scaled targets only, otherwise empty. */
  readonly rest: Float32Array;
}

/** Joins the targets of consecutive positions. */
export function joinTargets(parts: readonly Targets[]): Targets {
  if (parts.length === 1) return parts[0];
  const count = parts.reduce((sum, part) => sum + part.count, 0);
  const offsets = new Uint32Array(count + 1);
  let at = 0;
  for (const part of parts) {
    const base = offsets[at];
    for (let t = 1; t <= part.count; t++) offsets[at + t] = base + part.offsets[t];
    at += part.count;
  }
  const ids = new Uint32Array(offsets[count]);
  at = 0;
  for (const part of parts) {
    ids.set(part.ids, at);
    at += part.ids.length;
  }
  return {
    kind: parts[0].kind,
    count,
    offsets,
    ids,
    logprobs: joinFloats(parts, 'logprobs'),
    rest: joinFloats(parts, 'rest'),
    labelLogprob: joinFloats(parts, 'labelLogprob'),
    logZ: joinFloats(parts, 'logZ'),
  };
}

function joinFloats(
  parts: readonly Targets[],
  name: 'logprobs' | 'rest' | 'labelLogprob' | 'logZ',
): Float32Array {
  let length = 0;
  for (const part of parts) length += part[name].length;
  const out = new Float32Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part[name], at);
    at += part[name].length;
  }
  return out;
}

/** Decoded targets of the positions given, in their order. */
export function selectPositions(
  targets: DecodedTargets,
  positions: ArrayLike<number>,
): DecodedTargets {
  const count = positions.length;
  const offsets = new Uint32Array(count + 1);
  for (let i = 0; i < count; i++) {
    const t = positions[i];
    offsets[i + 1] = offsets[i] + targets.offsets[t + 1] - targets.offsets[t];
  }
  const ids = new Uint32Array(offsets[count]);
  const probs = new Float32Array(offsets[count]);
  const rest = new Float32Array(targets.kind === 'scaled' ? count : 0);
  for (let i = 0; i < count; i++) {
    const [from, to] = [targets.offsets[positions[i]], targets.offsets[positions[i] + 1]];
    ids.set(targets.ids.subarray(from, to), offsets[i]);
    probs.set(targets.probs.subarray(from, to), offsets[i]);
    if (rest.length > 0) rest[i] = targets.rest[positions[i]];
  }
  return { kind: targets.kind, count, offsets, ids, probs, rest };
}
