/**
 * The embedded teacher: an n-gram that learns most documents of a text and scores the others. No
 * neural network, but whole distributions, on any machine, in seconds.
 */
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import type { NgramSourceConfig } from '../../schemas/build-config.ts';
import { LogitcaskError } from '../errors.ts';
import { digestOf, sha256Hex } from '../formats/canonical.ts';
import { readInput } from './input-file.ts';
import { buildNgram, type NgramModel, ngramParameters } from './ngram-model.ts';
import {
  type Chunk,
  chunkBytesMax,
  type Lend,
  maskOf,
  ownMemory,
  type SampleInput,
  type Source,
} from './source.ts';
import { openTokenizer, type TextTokenizer } from './tokenizer.ts';

const textBytesMax = 256 * 1024 * 1024;

interface Prepared {
  readonly model: NgramModel;
  readonly samples: readonly SampleInput[];
  readonly positions: number;
}

/** Errors: `source-unreadable` where the text or the tokenizer cannot be read. */
export async function openNgramSource(
  config: NgramSourceConfig,
  { dataFolder }: { dataFolder: string },
): Promise<Source> {
  const textFile = config.text ?? join(dataFolder, 'kjv.txt.gz');
  const tokenizerFile = config.tokenizer ?? join(dataFolder, 'kjv-tokenizer-8192.json');
  const [textBytes, tokenizerJson] = await Promise.all([
    readInput(textFile),
    readInput(tokenizerFile),
  ]);
  const tokenizer = openTokenizer(tokenizerJson, tokenizerFile);
  const { separator } = tokenizer;
  if (separator === undefined) {
    const message = `capture: ${tokenizerFile} has no special token to part documents`;
    throw new LogitcaskError('source-unreadable', message, { expected: 'a special token' });
  }
  const inputs = { text: sha256Hex(textBytes), held_out: config.held_out };
  let preparing: Promise<Prepared> | undefined;
  let positions: number | undefined;
  // tokenising and sorting take seconds, and a build that is complete does not need them
  const prepare = () => {
    preparing ??= prepareAll(config, { textBytes, textFile, tokenizer, separator });
    return preparing;
  };
  return {
    identity: {
      name: 'ngram',
      revision: digestOf({ ...ngramParameters, ...inputs, tokenizer: tokenizer.digest }),
      source: 'ngram',
      vocabulary: tokenizer.size,
      tokenizer: tokenizer.digest,
      reports: 'whole',
    },
    inputs: {
      origin: config.text ?? 'King James Version (bible-kjv-text 4.38)',
      licence: config.text === undefined ? 'public domain' : 'unknown',
      digest: digestOf(inputs),
    },
    get positions() {
      return positions;
    },
    tokenizerJson,
    async *chunks(from, lend = ownMemory()) {
      const prepared = await prepare();
      positions = prepared.positions;
      const rowsMax = Math.max(1, Math.floor(chunkBytesMax / (4 * tokenizer.size)));
      for (const sample of prepared.samples.slice(from)) {
        yield* scoreSample(prepared.model, sample, { width: tokenizer.size, rowsMax, lend });
      }
    },
    async score(tokens) {
      const { model } = await prepare();
      const { size: width } = tokenizer;
      const memory = new ArrayBuffer(4 * tokens.length * width);
      return scoreRows(model, { tokens, from: 0, to: tokens.length, width, memory });
    },
    async close() {},
  };
}

function textOf(bytes: Buffer, file: string): string {
  try {
    const gzipped = bytes[0] === 0x1f && bytes[1] === 0x8b;
    const plain = gzipped ? gunzipSync(bytes, { maxOutputLength: textBytesMax }) : bytes;
    return new TextDecoder('utf-8', { fatal: true }).decode(plain);
  } catch (cause) {
    const message = `capture: ${file} is no UTF-8 text (${(cause as Error).message})`;
    throw new LogitcaskError('source-unreadable', message, { cause });
  }
}

async function prepareAll(
  config: NgramSourceConfig,
  input: { textBytes: Buffer; textFile: string; tokenizer: TextTokenizer; separator: number },
): Promise<Prepared> {
  const text = textOf(input.textBytes, input.textFile);
  const documents = text.split(/\n[ \t\r]*\n+/).filter((document) => document.trim() !== '');
  const corpus: Int32Array[] = [];
  const samples: SampleInput[] = [];
  for (const [number, document] of documents.entries()) {
    const tokens = input.tokenizer.encode(document.trim());
    const whole = new Int32Array(tokens.length + 1);
    whole[0] = input.separator;
    whole.set(tokens, 1);
    if ((number + 1) % config.held_out !== 0) corpus.push(whole);
    else samples.push(...cut(whole, { number, length: config.sample_length }));
    if (number % 16 === 0) await setImmediate();
  }
  if (samples.length === 0) {
    const found = `${documents.length} documents (blocks between blank lines)`;
    const message = `capture: ${input.textFile} has ${found}; lower source.held_out, or add text`;
    throw new LogitcaskError('source-mismatch', message, {
      expected: `at least ${config.held_out} documents`,
      got: documents.length,
    });
  }
  const kept = samples.slice(0, config.samples).map((sample, ordinal) => ({ ...sample, ordinal }));
  const joined = new Int32Array(corpus.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of corpus) {
    joined.set(part, at);
    at += part.length;
  }
  return {
    model: buildNgram(joined, input.tokenizer.size),
    samples: kept,
    positions: kept.reduce((sum, { tokens }) => sum + tokens.length, 0),
  };
}

/** Pieces of a document, each scored by itself: its content address is all that it depends on. */
function cut(
  tokens: Int32Array,
  { number, length }: { number: number; length: number },
): SampleInput[] {
  const pieces: SampleInput[] = [];
  for (let at = 0; at + 1 < tokens.length; at += length) {
    const own = tokens.slice(at, at + length);
    if (own.length < 2) break;
    const mask = maskOf(own.length);
    const meta = { document: number, piece: pieces.length };
    pieces.push({ ordinal: 0, tokens: own, mask, meta });
  }
  return pieces;
}

async function* scoreSample(
  model: NgramModel,
  sample: SampleInput,
  { rowsMax, width, lend }: { width: number; rowsMax: number; lend: Lend },
): AsyncGenerator<Chunk> {
  const { tokens } = sample;
  for (let from = 0; from < tokens.length; from += rowsMax) {
    const to = Math.min(tokens.length, from + rowsMax);
    const memory = lend(4 * (to - from) * width);
    yield { sample, position: from, rows: scoreRows(model, { tokens, from, to, width, memory }) };
    await setImmediate();
  }
}

interface ScoreOptions {
  readonly tokens: Int32Array;
  readonly from: number;
  readonly to: number;
  readonly width: number;
  /** Where the rows go. */
  readonly memory: ArrayBufferLike;
}

function scoreRows(model: NgramModel, { tokens, from, to, width, memory }: ScoreOptions) {
  const values = new Float32Array(memory, 0, (to - from) * width);
  for (let t = from; t < to; t++) {
    const row = values.subarray((t - from) * width, (t - from + 1) * width);
    model.score(tokens.subarray(0, t + 1), row);
  }
  return { form: 'dense' as const, count: to - from, width, type: 'f32' as const, values };
}
