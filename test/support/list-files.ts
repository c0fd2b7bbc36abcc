/** Real top lists, cut from the golden logits, as each layout of docs/import.md holds them. */
import { openDumpSource } from '../../src/capture/dump.ts';
import type { LayoutName } from '../../src/capture/lists-layouts.ts';
import { floatOfHalf } from '../../src/formats/float16.ts';
import { listsOf, type TopLists } from './top-lists.ts';

const golden = 'test/golden/logits/small-lm-rows0-511';
const vocabulary = 8192;

export interface ListSample {
  readonly tokens: number[];
  readonly ids: number[][];
  readonly logprobs: number[][];
}

/** Top lists of the small LM at `count` positions. */
export async function realLists(k: number, count: number): Promise<TopLists> {
  const source = await openDumpSource({
    type: 'dump',
    logits: `${golden}.f16.npy`,
    tokens: `${golden}.tokens.npy`,
    teacher: 'small-lm',
    licence: 'none',
    sample_length: count,
  });
  try {
    for await (const { sample, rows } of source.chunks(0)) {
      if (rows.form !== 'dense') break;
      const logits = Float32Array.from(rows.values, (half) => floatOfHalf[half]);
      return listsOf({ logits, tokens: sample.tokens, vocabulary, source: {} as never }, k);
    }
  } finally {
    await source.close();
  }
  throw new Error('the golden logits are no logits');
}

export function samplesOf({ ids, logprobs, tokens, k }: TopLists, length: number): ListSample[] {
  const rows = (values: Iterable<number>) => {
    const flat = [...values];
    return Array.from(tokens, (_, t) => flat.slice(t * k, (t + 1) * k));
  };
  const [idRows, logprobRows] = [rows(ids), rows(logprobs)];
  const samples: ListSample[] = [];
  for (let from = 0; from < tokens.length; from += length) {
    const [own, to] = [[...tokens.subarray(from, from + length)], from + length];
    samples.push({
      tokens: own,
      ids: idRows.slice(from, to),
      logprobs: logprobRows.slice(from, to),
    });
  }
  return samples;
}

type Json = Record<string, unknown>;

/** Records of a layout; where it has padding or masks, they are there. */
export const records: Record<LayoutName, (samples: readonly ListSample[]) => Json[]> = {
  samples: (samples) => samples.map((sample) => ({ ...sample })),
  positions: (samples) =>
    samples.flatMap(({ tokens, ids, logprobs }, sample) =>
      tokens.map((token, position) => ({
        sample: `s${sample}`,
        position,
        token,
        ids: ids[position],
        logprobs: logprobs[position],
      })),
    ),
  // two samples packed in a record, one number for each document
  distillkit: (samples) => {
    const packed: Json[] = [];
    for (let i = 0; i < samples.length; i += 2) {
      const pair = samples.slice(i, i + 2);
      packed.push({
        input_ids: pair.flatMap(({ tokens }) => tokens),
        attention_mask: pair.flatMap(({ tokens }, document) => tokens.map(() => document + 1)),
        token_ids: pair.flatMap(({ ids }) => ids),
        top_values: pair.flatMap(({ logprobs }) => logprobs),
      });
    }
    return packed;
  },
  // padded by two positions; the last of each sample is masked
  axolotl: (samples) =>
    samples.map(({ tokens, ids, logprobs }) => {
      const last = tokens.length - 1;
      const blank = (value: number) => Array<number[]>(3).fill(ids[1].map(() => value));
      const flags = ids.slice(0, last).map((list) => list.map(() => 1));
      return {
        input_ids: [...tokens, 0, 0],
        labels: [...tokens, -100, -100],
        attention_mask: [...tokens.map(() => 1), 0, 0],
        target_token_ids: [...ids.slice(0, last), ...blank(0)],
        target_logprobs: [...logprobs.slice(0, last), ...blank(Number.NEGATIVE_INFINITY)],
        target_mask: [...flags, ...blank(0)],
      };
    }),
  // as collated: padded with 7, logits less their maximum
  'nemo-aligner': (samples) =>
    samples.map(({ tokens, ids, logprobs }, index) => {
      const pad = <T>(values: T[], filler: T) => [...values.slice(0, -1), filler, filler];
      return {
        tokens: pad(tokens, 7),
        labels: [...tokens.slice(1), 7, 7],
        loss_mask: pad(
          tokens.map(() => 1),
          0,
        ),
        topk_logits: pad(
          logprobs.map((list) => list.map((logprob) => logprob - list[0])),
          ids[0].map(() => 0),
        ),
        topk_token_ids: pad(ids, ids[0]),
        log_sum_exp_logits: pad(
          logprobs.map(([most]) => -most),
          0,
        ),
        index,
      };
    }),
};

/** As Python's json writes them: −Infinity and NaN are bare. */
export function jsonLines(values: readonly Json[]): string {
  const line = (value: Json) =>
    JSON.stringify(value, (_, item) =>
      typeof item === 'number' && !Number.isFinite(item) ? `<${item}>` : item,
    ).replace(/"<(.*?)>"/g, '$1');
  return values.map((value) => `${line(value)}\n`).join('');
}
