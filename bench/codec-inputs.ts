/** Targets in memory: one sample of each teacher at K=64, and an unbiased one of ~15 entries. */
import { chunkLabels } from '../src/capture/source.ts';
import { openSource } from '../src/capture/table.ts';
import type { Targets } from '../src/distribution/targets.ts';
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

/** The first sample of a teacher, its K most probable entries. */
async function firstSample(name: keyof typeof teachers, k: number): Promise<Sample> {
  const { files, length } = teachers[name];
  const config = { type: 'dump' as const, teacher: '', licence: '', sample_length: length };
  const source = await openSource({ ...config, ...files }, { dataFolder: 'data' });
  const sparsifier = createSparsifier({ type: 'top-k', k });
  const parts: Targets[] = [];
  for await (const { sample, position, rows } of source.chunks(0)) {
    const labels = chunkLabels(sample, position, rows.count);
    const context = { labels, temperatures: [], sampleId: new Uint8Array(16), position };
    parts.push(sparsifier.sparsify(rows, context));
  }
  await source.close();
  return { name, width: source.identity.vocabulary, targets: joined(parts) };
}

function joined(parts: readonly Targets[]): Targets {
  const ends = parts.flatMap(({ offsets }) => Array.from(offsets.subarray(1)));
  let [base, t] = [0, 0];
  for (const { count } of parts) {
    for (const end = t + count; t < end; t++) ends[t] += base;
    base = ends[t - 1];
  }
  const floats = (of: (part: Targets) => Float32Array) =>
    Float32Array.from(parts.flatMap((part) => Array.from(of(part))));
  return {
    kind: 'scaled',
    count: ends.length,
    offsets: Uint32Array.from([0, ...ends]),
    ids: Uint32Array.from(parts.flatMap(({ ids }) => Array.from(ids))),
    logprobs: floats(({ logprobs }) => logprobs),
    rest: floats(({ rest }) => rest),
    labelLogprob: floats(({ labelLogprob }) => labelLogprob),
    logZ: new Float32Array(0),
  };
}

/** Entries of at least τ as they are; of the others, on average p / τ at weight τ. */
function sampled({ name, width, targets }: Sample, tau: number): Sample {
  const { offsets, ids, logprobs } = targets;
  const out = { offsets: [0], ids: [] as number[], logprobs: [] as number[] };
  let sum = 0.5;
  for (let t = 0; t < targets.count; t++) {
    for (let i = offsets[t]; i < offsets[t + 1]; i++) {
      const p = Math.exp(logprobs[i]);
      sum += Math.min(1, p / tau);
      if (sum < 1) continue;
      sum -= 1;
      out.ids.push(ids[i]);
      out.logprobs.push(Math.max(logprobs[i], Math.log(tau)));
    }
    out.offsets.push(out.ids.length);
  }
  const unbiased: Targets = {
    ...targets,
    kind: 'unbiased',
    offsets: Uint32Array.from(out.offsets),
    ids: Uint32Array.from(out.ids),
    logprobs: Float32Array.from(out.logprobs),
    rest: new Float32Array(0),
  };
  return { name, width, targets: unbiased };
}

export const tau = 0.02;

export async function samples(): Promise<{ topK: readonly Sample[]; unbiased: Sample }> {
  const topK = [await firstSample('small LM', 64), await firstSample('v128k-syn', 64)];
  return { topK, unbiased: sampled(await firstSample('v128k-syn', 1024), tau) };
}
