/** What a teacher worker pushes: samples drawn from known distributions, as bodies of shards. */
import { createHash } from 'node:crypto';
import type { UploadRequest } from '../../schemas/upload.ts';
import type { Columns } from '../../src/formats/arrow.ts';
import { encodeStream } from '../../src/formats/arrow.ts';
import {
  bytesOf,
  type Column,
  concatColumns,
  list,
  listCell,
  packBits,
  primitive,
} from '../../src/formats/layout.ts';
import { createSparsifier } from '../../src/sparsify/table.ts';

export const width = 300;
export const arrow = 'application/vnd.apache.arrow.stream';
const k = 8;

/** The distribution after a token: float32 logits, a function of the token alone. */
const logits = Array.from({ length: width }, (_, token) => {
  let state = (token + 1) * 2_654_435_761;
  return Float32Array.from({ length: width }, () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x297a2d39) >>> 0;
    return 8 * (state / 2 ** 32) ** 3;
  });
});

export interface PushedSample {
  readonly tokens: Int32Array;
  readonly mask: Uint8Array;
  /** float32 [n × V]. */
  readonly values: Float32Array;
}

/** Each next token is drawn from the row before, so that alignment holds. */
export function pushedSample(seed: number, length = 40): PushedSample {
  let state = seed * 7919 + 1;
  const tokens = Int32Array.of(seed % width);
  const all = [tokens[0]];
  for (let t = 1; t < length; t++) {
    const row = logits[all[t - 1]];
    const sum = row.reduce((total, x) => total + Math.exp(x), 0);
    state = (Math.imul(state ^ (state >>> 13), 0x5bd1e995) + 0x9e3779b9) >>> 0;
    let left = (state / 2 ** 32) * sum;
    let token = 0;
    while (token < width - 1 && left > Math.exp(row[token])) left -= Math.exp(row[token++]);
    all.push(token);
  }
  const values = new Float32Array(length * width);
  for (const [t, token] of all.entries()) values.set(logits[token], t * width);
  return { tokens: Int32Array.from(all), mask: new Uint8Array(length).fill(1, 0, -1), values };
}

export function uploadOf(more: Partial<UploadRequest> = {}) {
  return {
    teacher: { name: 'known', revision: '1' },
    vocabulary: width,
    tokenizer: null,
    sparsifier: { type: 'top-k', k },
    ...more,
  };
}

/** `shift` gives each position the distribution of another one. */
export function bodyOf(samples: readonly PushedSample[], { shift = 0 } = {}): Buffer {
  const rows = samples.map((sample) => columnsOf(shifted(sample, shift)));
  const names = Object.keys(types);
  const joined = names.map((name) => [
    name,
    concatColumns(
      types[name],
      rows.map((row) => row[name] as Column),
    ),
  ]);
  return encodeStream(types, [Object.fromEntries(joined) as Columns], {});
}

const types = {
  tokens: list(primitive('int32')),
  mask: list({ type: 'bool' as const }),
  meta: { type: 'utf8' as const },
  teacher_counts: list(primitive('uint32')),
  teacher_ids: list(primitive('uint32')),
  teacher_logprobs: list(primitive('float32')),
  teacher_rest: list(primitive('float32')),
  teacher_label_logprob: list(primitive('float32')),
} as Record<string, Parameters<typeof concatColumns>[0]>;

function shifted(sample: PushedSample, shift: number): PushedSample {
  const values = new Float32Array(sample.values.length);
  const n = sample.tokens.length;
  for (let t = 0; t < n; t++) {
    const from = Math.min(n - 1, Math.max(0, t + shift)) * width;
    values.set(sample.values.subarray(from, from + width), t * width);
  }
  return { ...sample, values };
}

function columnsOf({ tokens, mask, values }: PushedSample): Record<string, Column> {
  const n = tokens.length;
  const labels = Int32Array.from({ length: n }, (_, t) => tokens[t + 1] ?? -1);
  const { offsets, ids, logprobs, rest, labelLogprob } = createSparsifier({
    type: 'top-k',
    k,
  }).sparsify(
    { form: 'dense', count: n, width, type: 'f32', values },
    { labels, temperatures: [], sampleId: new Uint8Array(16), position: 0 },
  );
  const counts = Uint32Array.from({ length: n }, (_, t) => offsets[t + 1] - offsets[t]);
  const meta = Buffer.from('{"from":"a test"}');
  return {
    tokens: listCell(bytesOf(tokens), n),
    mask: listCell(packBits(mask), n),
    meta: listCell(meta, meta.length),
    teacher_counts: listCell(bytesOf(counts), n),
    teacher_ids: listCell(bytesOf(ids), ids.length),
    teacher_logprobs: listCell(bytesOf(logprobs), ids.length),
    teacher_rest: listCell(bytesOf(rest), n),
    teacher_label_logprob: listCell(bytesOf(labelLogprob), n),
  };
}

export const digestHeader = (body: Uint8Array) =>
  `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;
