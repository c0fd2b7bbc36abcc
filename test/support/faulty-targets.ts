/** What goes wrong between a teacher and a store: rows and targets, each wrong in one way. */
import type { DenseRows, ListRows } from '../../src/distribution/rows.ts';
import type { Targets } from '../../src/distribution/targets.ts';
import { fromFloat16, toFloat16 } from '../../src/formats/float16.ts';
import { createSparsifier } from '../../src/sparsify/table.ts';
import type { Teaching } from './teachings.ts';

/** The same samples with other rows. */
export const withRows = (
  teaching: Teaching,
  change: (rows: DenseRows) => DenseRows | ListRows,
) => ({
  ...teaching,
  samples: teaching.samples.map(({ sample, rows }) => ({
    sample,
    rows: change(rows as DenseRows),
  })),
});

/** Row t is that of position t + by, as far as there is one. */
export function shifted(rows: DenseRows, by: number): DenseRows {
  const values = rows.values.slice();
  const last = rows.count - 1;
  for (let t = 0; t < rows.count; t++) {
    const from = Math.min(last, Math.max(0, t + by)) * rows.width;
    values.set(rows.values.subarray(from, from + rows.width), t * rows.width);
  }
  return { ...rows, values };
}

export function atTemperature(rows: DenseRows, temperature: number): DenseRows {
  if (rows.type === 'f32') return { ...rows, values: rows.values.map((x) => x / temperature) };
  const logits = fromFloat16(rows.values as Uint16Array).map((x) => x / temperature);
  return { ...rows, values: toFloat16(logits) };
}

/** Top k alone, as many servers and files give them: normalised among themselves. */
export function renormalised(rows: DenseRows, k: number): ListRows {
  const context = { labels: new Int32Array(rows.count).fill(-1), temperatures: [], position: 0 };
  const top = createSparsifier({ type: 'top-k', k });
  const targets = top.sparsify(rows, { ...context, sampleId: new Uint8Array(16) });
  const { offsets, ids, rest } = targets;
  const logprobs = targets.logprobs.map((x, i) => x - Math.log(1 - rest[Math.floor(i / k)]));
  const { count, width } = rows;
  return { form: 'lists', count, width, offsets, ids, logprobs, tail: new Float32Array(count) };
}

export const asLists = (teaching: Teaching, change: (rows: DenseRows) => ListRows): Teaching => {
  const { identity } = teaching.source;
  const source = { ...teaching.source, identity: { ...identity, reports: 'top-list' as const } };
  return { ...withRows(teaching, change), source };
};

/** Log-weights changed one by one; undefined leaves the entry out. */
export function reweighed(
  { offsets, ids, logprobs, ...rest }: Targets,
  change: (logprob: number, t: number) => number | undefined,
): Targets {
  const kept: number[] = [];
  const weights: number[] = [];
  const ends = [0];
  for (let t = 0; t < rest.count; t++) {
    for (let i = offsets[t]; i < offsets[t + 1]; i++) {
      const weight = change(logprobs[i], t);
      if (weight === undefined) continue;
      kept.push(ids[i]);
      weights.push(weight);
    }
    ends.push(kept.length);
  }
  return {
    ...rest,
    offsets: Uint32Array.from(ends),
    ids: Uint32Array.from(kept),
    logprobs: Float32Array.from(weights),
  };
}

export const tau = 0.02;
const atTau = Math.fround(Math.log(Math.fround(tau)));
/** What was drawn is left out. */
export const tailDropped = (targets: Targets) =>
  reweighed(targets, (logprob) => (logprob === atTau ? undefined : logprob));

/** The tail dropped, and what is above τ made to add up to 1. */
export function headRenormalised(targets: Targets): Targets {
  const head = tailDropped(targets);
  const sums = Array.from({ length: head.count }, (_, t) =>
    head.logprobs
      .subarray(head.offsets[t], head.offsets[t + 1])
      .reduce((sum, logprob) => sum + Math.exp(logprob), 0),
  );
  return reweighed(head, (logprob, t) => logprob - Math.log(sums[t]));
}
