import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { buildConfig } from '../../schemas/build-config.ts';
import { checkAlignment } from '../../src/capture/alignment.ts';
import { openOnnxSource } from '../../src/capture/onnx.ts';
import type { Chunk, Source } from '../../src/capture/source.ts';
import type { DenseRows } from '../../src/distribution/rows.ts';
import { fromFloat16 } from '../../src/formats/float16.ts';
import { allChunks, describeSource } from '../contracts/source.ts';
import { type Bigram, bigramModel } from '../support/onnx-model.ts';
import { prompts } from '../support/replay-teacher.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-onnx-'));
const open: Source[] = [];
afterAll(async () => {
  for (const source of open) await source.close();
  rmSync(folder, { recursive: true });
});

const smallLm = 'bench/data/small-lm';
const texts = join(folder, 'texts.jsonl');
const lines = (samples: readonly ArrayLike<number>[]) =>
  samples.map((tokens) => `${JSON.stringify({ tokens: Array.from(tokens) })}\n`).join('');
writeFileSync(texts, lines(prompts));

async function sourceOf(more: object = {}): Promise<Source> {
  const files = { model: `${smallLm}/model.int8.onnx`, tokenizer: `${smallLm}/tokenizer.json` };
  const given = { type: 'onnx', ...files, texts: [texts], sample_length: 97, ...more };
  const source = await openOnnxSource(buildConfig.parse({ source: given }).source as never);
  open.push(source);
  return source;
}

describeSource('ONNX', sourceOf);

const bytesOf = (chunks: readonly Chunk[]) =>
  Buffer.concat(chunks.map(({ rows }) => Buffer.from((rows as DenseRows).values.slice().buffer)));

describe('the small LM in int8', () => {
  it('gives a sample the same bytes alone as among others, on one thread as on three', async () => {
    const among = await allChunks((await sourceOf({ threads: 3 })).chunks(0));
    const serial = await allChunks((await sourceOf({ threads: 1 })).chunks(0));
    expect(bytesOf(serial).equals(bytesOf(among))).toBe(true);
    for (const { tokens, ordinal } of new Set(among.map(({ sample }) => sample))) {
      const single = join(folder, 'single.jsonl');
      writeFileSync(single, lines([tokens]));
      const alone = await allChunks((await sourceOf({ texts: [single] })).chunks(0));
      const own = among.filter(({ sample }) => sample.ordinal === ordinal);
      expect(bytesOf(alone).equals(bytesOf(own))).toBe(true);
    }
  });

  it('is let change a little by later tokens, as its file says that it quantises', async () => {
    const source = await sourceOf();
    expect(source.agreement).toBe(0.5);
    await expect(checkAlignment({ ...source, agreement: undefined })).rejects.toMatchObject({
      code: 'source-misaligned',
    });
  });

  it('refuses a sample beyond its context in words', async () => {
    const long = join(folder, 'long.jsonl');
    writeFileSync(long, lines([new Array(300).fill(5)]));
    const source = await sourceOf({ texts: [long], sample_length: 512 });
    await expect(allChunks(source.chunks(0))).rejects.toMatchObject({
      code: 'teacher-refused',
      message: expect.stringMatching(/300 tokens.*--sample-length/),
    });
  });
});

const width = 12;
const table = Float32Array.from(
  { length: width * width },
  (_, i) => Math.round(64 * Math.sin(i * 7.3)) / 64,
);
const vocab = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`w${i}`, i]));
const tokenizer = join(folder, 'tokenizer.json');
const model = { type: 'WordLevel', vocab, unk_token: 'w0' };
const nothing = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };
writeFileSync(tokenizer, JSON.stringify({ version: '1.0', added_tokens: [], ...nothing, model }));
const tokens = [3, 1, 4, 1, 5, 9, 2, 6];
const short = join(folder, 'short.jsonl');
writeFileSync(short, lines([tokens]));

async function bigram(more: Partial<Bigram> = {}): Promise<Source> {
  const file = join(folder, 'bigram.onnx');
  writeFileSync(file, bigramModel({ table, width, ...more }));
  return sourceOf({ model: file, tokenizer, texts: [short] });
}

/** What the table says, plus `added` at each position. */
const expected = (added: (t: number) => number) =>
  Float32Array.from({ length: tokens.length * width }, (_, i) => {
    const t = Math.floor(i / width);
    return Math.fround(table[tokens[t] * width + (i % width)] + added(t));
  });

async function rowsOf(source: Source): Promise<DenseRows> {
  const [{ rows }, ...others] = await allChunks(source.chunks(0));
  expect(others).toEqual([]);
  return rows as DenseRows;
}

describe('the inputs and outputs of a graph', () => {
  it('are found by name, V by the output, which may be wider than the tokenizer', async () => {
    const source = await bigram();
    expect(source.identity).toMatchObject({ vocabulary: 12, name: 'bigram.onnx' });
    expect((await rowsOf(source)).values).toEqual(expected(() => 0));
  });

  it('may be a mask, positions and an empty past', async () => {
    const past = { type: 1, shape: ['batch', 2, 'past', 4] };
    const source = await bigram({
      added: { attention_mask: 2, position_ids: 0.5 },
      unread: { 'past_key_values.0.key': past, 'past_key_values.0.value': past },
    });
    expect((await rowsOf(source)).values).toEqual(expected((t) => 2 + 0.5 * t));
  });

  it('may be int32 ids of any name, and float16', async () => {
    const source = await bigram({ ids: { name: 'x', type: 6 }, halves: true, output: 'y' });
    const { type, values } = await rowsOf(source);
    expect(type).toBe('f16');
    const halves = fromFloat16(values as Uint16Array);
    const error = expected(() => 0).map((value, i) => Math.abs(value - halves[i]));
    expect(Math.max(...error)).toBeLessThan(1e-3);
  });

  it.each([
    ['an input of another form', { unread: { pixels: { type: 1, shape: [1, 3, 8] } } }, /pixels/],
    ['two inputs of ids', { added: { others: 1 } }, /input_ids, others/],
    ['ids that are no integers', { ids: { name: 'input_ids', type: 11 } }, /input_ids|load/],
  ] as [string, Partial<Bigram>, RegExp][])('are refused: %s', async (_, more, message) => {
    await expect(bigram(more)).rejects.toMatchObject({
      code: expect.stringMatching(/teacher-unsuitable|source-unreadable/),
      message: expect.stringMatching(message),
    });
  });
});

describe('an ONNX source', () => {
  it('refuses a model that is narrower than the tokenizer', async () => {
    const narrow = bigram({ table: table.subarray(0, 81), width: 9 });
    await expect(narrow).rejects.toMatchObject({ code: 'source-mismatch', expected: 9, got: 10 });
  });

  it.each([
    ['missing', undefined],
    ['damaged', Buffer.from('no model at all')],
  ])('refuses a model that is %s', async (name, bytes) => {
    const file = join(folder, `${name}.onnx`);
    if (bytes !== undefined) writeFileSync(file, bytes);
    await expect(sourceOf({ model: file })).rejects.toMatchObject({
      code: 'source-unreadable',
      message: expect.stringContaining(file),
    });
  });

  it('has another revision with other weights beside the model', async () => {
    const { identity: alone } = await bigram();
    writeFileSync(join(folder, 'bigram.onnx_data'), 'weights');
    const { identity: beside } = await bigram();
    writeFileSync(join(folder, 'bigram.onnx_data'), 'others');
    const { identity: others } = await bigram();
    rmSync(join(folder, 'bigram.onnx_data'));
    expect(new Set([alone, beside, others].map(({ revision }) => revision)).size).toBe(3);
  });

  it('says how to install the runtime where that is missing', () => {
    const copy = join(folder, 'without');
    mkdirSync(join(copy, 'node_modules'), { recursive: true });
    cpSync('dist', join(copy, 'dist'), { recursive: true });
    writeFileSync(join(copy, 'package.json'), readFileSync('package.json'));
    for (const name of readdirSync('node_modules')) {
      if (name === 'onnxruntime-node' || name.startsWith('.')) continue;
      symlinkSync(resolve('node_modules', name), join(copy, 'node_modules', name));
    }
    const cli = join(copy, 'dist/src/cli.js');
    const flags = ['--model', `${smallLm}/model.int8.onnx`, '--texts', texts];
    const where = ['--tokenizer', `${smallLm}/tokenizer.json`, '--store', join(folder, 'store')];
    const run = () =>
      execFileSync(process.execPath, [cli, 'build', '--source', 'onnx', ...flags, ...where], {
        stdio: 'pipe',
      });
    expect(run).toThrow(/npm install onnxruntime-node/);
  });
});
