/** One top list of a distribution: what is none is refused, and what is one is put in order. */
import { LogitcaskError } from '../errors.ts';

const massSlack = 1e-3;

export type ListCheck = (
  ids: Uint32Array,
  logprobs: Float32Array,
  options: {
    /** Where the list comes from, for errors. */
    readonly place: () => string;
    /** Mass outside the list, where the source gives it. */
    readonly tail: number | undefined;
    /** 1 by default: what the entries may sum to. */
    readonly massMax?: number;
    /** 0 by default: what the entries and the tail sum to at least. */
    readonly massMin?: number;
  },
) => void;

/** Throws `row-invalid`; log-probs must descend. */
export function createListCheck(width: number): ListCheck {
  let sorted = new Uint32Array(64);
  return (ids, logprobs, { place, tail = 0, massMax = 1, massMin = 0 }) => {
    const refuse = (what: string, expected: unknown, got: unknown): never => {
      const message = `capture: ${place()}: ${what}, got ${got}; export it again`;
      throw new LogitcaskError('row-invalid', message, { expected, got: String(got) });
    };
    let mass = 0;
    for (let i = 0; i < ids.length; i++) {
      const p = logprobs[i];
      if (!(p <= massSlack)) refuse('a log-prob is no number ≤ 0', '≤ 0', p);
      if (ids[i] >= width) refuse(`an id is outside the vocabulary of ${width}`, width, ids[i]);
      if (p > logprobs[i - 1]) refuse('log-probs do not descend', logprobs[i - 1], p);
      mass += Math.exp(p);
    }
    if (mass > massMax + massSlack) {
      refuse(`probabilities sum to more than ${massMax}`, `≤ ${massMax}`, mass);
    }
    if (!(tail >= -massSlack && mass + tail <= massMax + massSlack)) {
      refuse('the tail is no mass that the list leaves', `0 … ${1 - mass}`, tail);
    }
    if (mass + tail < massMin - massSlack) {
      refuse('probabilities and the tail do not sum to 1', massMin, mass + tail);
    }
    if (sorted.length < ids.length) sorted = new Uint32Array(ids.length);
    const own = sorted.subarray(0, ids.length);
    own.set(ids);
    own.sort();
    for (let i = 1; i < own.length; i++) {
      if (own[i] === own[i - 1]) refuse('an id comes twice', 'distinct ids', own[i]);
    }
  };
}

/** Equal log-probs, which lie together, are ordered by id. */
export function orderTies(ids: Uint32Array, logprobs: Float32Array): void {
  for (let from = 0; from < ids.length; ) {
    let to = from + 1;
    while (to < ids.length && logprobs[to] === logprobs[from]) to++;
    if (to > from + 1) ids.subarray(from, to).sort();
    from = to;
  }
}

/** Any order becomes value descending, id ascending. */
export function orderList(ids: Uint32Array, logprobs: Float32Array): void {
  let isSorted = true;
  // NaN counts as sorted: the check refuses it
  for (let i = 1; i < ids.length; i++) isSorted &&= !(logprobs[i] > logprobs[i - 1]);
  if (!isSorted) {
    const order = Uint32Array.from(ids.keys()).sort((a, b) => logprobs[b] - logprobs[a]);
    ids.set(Uint32Array.from(order, (i) => ids[i]));
    logprobs.set(Float32Array.from(order, (i) => logprobs[i]));
  }
  orderTies(ids, logprobs);
}
