/** Targets in memory: one sample of each teacher at K=64, and unbiased ones. */
import { chunkLabels, type Source } from '../src/capture/source.ts';
import { openSource } from '../src/capture/table.ts';
import { type DenseRows, type ListRows, selectRows } from '../src/distribution/rows.ts';
import { joinTargets, type Targets } from '../src/distribution/targets.ts';
import { steps } from '../src/encode/levels.ts';
import { createSparsifier } from '../src/sparsify/table.ts';
import { smallLm, v128k } from './inputs.ts';

export interface Sample {
  readonly name: string;
  /** V */
  readonly width: number;
  readonly targets: Targets;
}

const teachers = {
  'small LM': { files: smallLm, length: 512 },
  'v128k-syn': { files: { logits: v128k }, length: 1024 },
};

function openDump(files: { logits: string; tokens?: string }, length: number): Promise<Source> {
  const config = { type: 'dump' as const, teacher: '', licence: '', sample_length: length };
  return openSource({ ...config, ...files }, { dataFolder: 'data' });
}

/** The first sample of a teacher, its K most probable entries. */
async function firstSample(name: keyof typeof teachers, k: number): Promise<Sample> {
  const { files, length } = teachers[name];
  const source = await openDump(files, length);
  const sparsifier = createSparsifier({ type: 'top-k', k });
  const parts: Targets[] = [];
  for await (const { sample, position, rows } of source.chunks(0)) {
    const labels = chunkLabels(sample, position, rows.count);
    const context = { labels, temperatures: [], sampleId: new Uint8Array(16), position };
    parts.push(sparsifier.sparsify(rows, context));
  }
  await source.close();
  return { name, width: source.identity.vocabulary, targets: joinTargets(parts) };
}

/**
 * Whole rows of v128k-syn, a few at a time: the listed log-probs, and the mass beyond them spread
 * evenly over the other ids, as the set says no more of them.
 */
async function* wholeRows(): AsyncGenerator<{ rows: DenseRows; lists: ListRows }> {
  const source = await openDump({ logits: v128k }, 1024);
  for await (const { rows: lists } of source.chunks(0)) {
    if (lists.form !== 'lists') throw new Error('v128k-syn holds lists');
    const { width, offsets } = lists;
    for (let t = 0; t < lists.count; t++) {
      const [from, to] = [offsets[t], offsets[t + 1]];
      const values = new Float32Array(width);
      values.fill(Math.log((lists.tail?.[t] ?? 0) / (width - (to - from))));
      for (let i = from; i < to; i++) values[lists.ids[i]] = lists.logprobs[i];
      const rows: DenseRows = { form: 'dense', count: 1, width, type: 'f32', values };
      yield { rows, lists: selectRows(lists, [t]) };
    }
  }
  await source.close();
}

export interface Drawn {
  readonly sample: Sample;
  /** Mean over the positions of Σ E(weight − p)², of the drawing and of the rounding. */
  readonly variance: number;
  /** The same, and the bytes at 24 bits a distinct entry, of 50 random draws with counts. */
  readonly draws: { readonly variance: number; readonly bytes: number };
}

const drawCount = 50;

/** v128k-syn as `threshold` draws it. */
export async function drawn(tau: number, step: number): Promise<Drawn> {
  const sparsifier = createSparsifier({ type: 'threshold', tau, step });
  const parts: Targets[] = [];
  const sampleId = Uint8Array.from({ length: 16 }, (_, i) => 17 * i);
  let [variance, drawVariance, distinct] = [0, 0, 0];
  for await (const { rows, lists } of wholeRows()) {
    const position = parts.length;
    const context = { labels: Int32Array.of(-1), temperatures: [], sampleId, position };
    parts.push(sparsifier.sparsify(rows, context));
    const others = lists.tail?.[0] ?? 0;
    variance += others * tau;
    drawVariance += others / drawCount;
    distinct += others * drawCount;
    for (const logprob of lists.logprobs) {
      const p = Math.exp(logprob);
      variance += p < tau ? p * (tau - p) : roundingVariance(p, step);
      drawVariance += (p * (1 - p)) / drawCount;
      distinct += 1 - (1 - p) ** drawCount;
    }
  }
  const count = parts.length;
  const draws = { variance: drawVariance / count, bytes: (3 * distinct) / count };
  const targets = joinTargets(parts);
  const sample = { name: 'v128k-syn', width: 128_256, targets };
  return { sample, variance: variance / count, draws };
}

function roundingVariance(p: number, step: number): number {
  const level = Math.floor(Math.sqrt(p) / step);
  return (p - (level * step) ** 2) * (((level + 1) * step) ** 2 - p);
}

export const tau = 0.02;

export async function samples(): Promise<{ topK: readonly Sample[]; unbiased: Sample }> {
  const topK = [await firstSample('small LM', 64), await firstSample('v128k-syn', 64)];
  return { topK, unbiased: (await drawn(tau, steps.standard)).sample };
}
