/** Keeps the K highest sigmoid scores, each a probability of its own. */
import type { DenseRows, ListRows } from '../distribution/rows.ts';
import type { Targets } from '../distribution/targets.ts';
import { LogitcaskError } from '../errors.ts';
import { floatOfHalf } from '../formats/float16.ts';
import { checkLength, trimmed } from './dense.ts';
import type { Sparsifier } from './sparsifier.ts';

export function independent({ k }: { readonly k: number }): Sparsifier {
  return {
    name: 'top-k',
    kind: 'independent',
    entriesMax: k,
    parameters: { k },
    sparsify(rows, { labels }) {
      if (rows.form === 'lists') return fromLists(rows, k);
      checkLength(rows);
      const { count, width } = rows;
      const out = allocate(count, count * Math.min(k, width));
      const row = new Float64Array(width);
      let at = 0;
      for (let t = 0; t < count; t++) {
        readRow(rows, t, row);
        for (const id of highest(row, k)) {
          out.ids[at] = id;
          out.logprobs[at++] = logSigmoid(row[id]);
        }
        out.offsets[t + 1] = at;
        if (labels[t] >= 0) out.labelLogprob[t] = logSigmoid(row[labels[t]]);
      }
      return trimmed(out, at);
    },
  };
}

/** Lists of log-sigmoids, highest first: the first K of each, without those of probability 0. */
function fromLists({ count, offsets, ids, logprobs }: ListRows, k: number): Targets {
  const kept = Array.from({ length: count }, (_, t) => {
    const [from, to] = [offsets[t], Math.min(offsets[t] + k, offsets[t + 1])];
    const end = logprobs.subarray(from, to).indexOf(Number.NEGATIVE_INFINITY);
    return end < 0 ? to - from : end;
  });
  const total = kept.reduce((sum, entries) => sum + entries, 0);
  const out = allocate(count, total);
  for (let t = 0; t < count; t++) {
    const [from, at] = [offsets[t], out.offsets[t]];
    out.ids.set(ids.subarray(from, from + kept[t]), at);
    // rounding may leave a log-prob a little above 0
    out.logprobs.set(
      logprobs.subarray(from, from + kept[t]).map((p) => Math.min(p, 0)),
      at,
    );
    out.offsets[t + 1] = at + kept[t];
  }
  return out;
}

function allocate(count: number, entries: number) {
  return {
    kind: 'independent' as const,
    count,
    offsets: new Uint32Array(count + 1),
    ids: new Uint32Array(entries),
    logprobs: new Float32Array(entries),
    rest: new Float32Array(0),
    labelLogprob: new Float32Array(count).fill(Number.NaN),
    logZ: new Float32Array(0),
  };
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

const floatAs = {
  f32: (value: number) => value,
  f16: (half: number) => floatOfHalf[half],
  bf16: (half: number) => {
    bits[0] = half << 16;
    return float[0];
  },
} as const;

function readRow({ values, type, width }: DenseRows, t: number, row: Float64Array): void {
  for (let id = 0; id < width; id++) {
    const value = floatAs[type](values[t * width + id]);
    if (Number.isNaN(value)) {
      const message = `sparsify: a row of scores holds NaN at class ${id}`;
      throw new LogitcaskError('row-invalid', message, { expected: 'logits', got: 'NaN' });
    }
    row[id] = value;
  }
}

/** Classes by score, highest first, the lower id on ties; without those of probability 0. */
function highest(row: Float64Array, k: number): Uint32Array {
  const order = Uint32Array.from(row.keys()).filter((id) => row[id] > Number.NEGATIVE_INFINITY);
  return order.sort((a, b) => row[b] - row[a] || a - b).subarray(0, k);
}

/** ln of 1 / (1 + exp(−x)), without overflow; 0 at +∞. */
function logSigmoid(x: number): number {
  return x > 0 ? -Math.log1p(Math.exp(-x)) : x - Math.log1p(Math.exp(x));
}
