/** Texts to score: JSON lines, Parquet or plain text, as token ids in samples of bounded length. */
import { LogitcaskError } from '../errors.ts';
import { firstBytes, type ReadMeter } from '../formats/jsonl.ts';
import { textDocuments } from './documents.ts';
import { holdsColumns, type ListRecord, mismatch, numbersAt, recordsOf } from './lists-record.ts';
import { maskOf, type SampleInput } from './source.ts';
import type { TextTokenizer } from './tokenizer.ts';

export interface TextOptions {
  readonly tokenizer: TextTokenizer;
  /** Most positions of a sample: longer documents are cut. */
  readonly sampleLength: number;
  /** Stops after so many samples. */
  readonly samplesMax?: number;
  /** How far the present file has been read. */
  readonly meter?: ReadMeter & { file: number };
}

/** Keys of a record that are read; the others are kept in `meta` where they are short. */
const keys = ['tokens', 'text', 'prompt', 'completion', 'mask', 'meta'] as const;

interface Document {
  readonly tokens: Int32Array;
  /** First position that is learned: the prompt's last one. */
  readonly learnedFrom: number;
  readonly meta: Record<string, unknown>;
}

/**
 * Samples of files in order. A record has `tokens` (ids), `text`, or `prompt` and `completion`, of
 * which the completion is learned. Errors: `source-unreadable`, `source-mismatch`,
 * `token-out-of-range`.
 */
export async function* textSamples(
  files: readonly string[],
  { tokenizer, sampleLength, samplesMax = Number.POSITIVE_INFINITY, meter }: TextOptions,
): AsyncGenerator<SampleInput> {
  let ordinal = 0;
  for (const [file, name] of files.entries()) {
    if (meter !== undefined) meter.file = file;
    for await (const document of documentsOf(name, { file, tokenizer, meter })) {
      for (const piece of cut(document, sampleLength)) {
        if (ordinal >= samplesMax) return;
        yield { ...piece, ordinal: ordinal++ };
      }
    }
  }
}

/** Those from ordinal `from` on. */
export async function* samplesBehind(samples: AsyncIterable<SampleInput>, from: number) {
  for await (const sample of samples) if (sample.ordinal >= from) yield sample;
}

async function* documentsOf(
  name: string,
  { file, tokenizer, meter }: { file: number; tokenizer: TextTokenizer; meter?: ReadMeter },
): AsyncGenerator<Document> {
  if (await isPlainText(name)) {
    let row = 0;
    for await (const text of textDocuments(name, meter)) {
      yield { tokens: tokenizer.encode(text, true), learnedFrom: 0, meta: { file, row: row++ } };
    }
    return;
  }
  for await (const record of recordsOf(name, { file, keys, meter })) {
    yield documentOf(record, tokenizer);
  }
}

/** JSON lines begin with `{`, files of columns with their magic. */
export async function isPlainText(name: string): Promise<boolean> {
  if (/\.(txt|text|md)(\.gz)?$/.test(name)) return true;
  if (/\.(jsonl|ndjson|json)(\.gz)?$/.test(name) || (await holdsColumns(name))) return false;
  return (await firstBytes(name, 1)).toString() !== '{';
}

function documentOf(record: ListRecord, tokenizer: TextTokenizer): Document {
  const { cells, file, row, place } = record;
  const meta = { file, row, ...metaOf(cells.meta) };
  const ids = numbersAt(record, 'tokens');
  if (ids !== undefined) {
    const tokens = Int32Array.from(ids);
    const wrong = ids.find((id) => !(Number.isInteger(id) && id >= 0 && id < tokenizer.size));
    if (wrong === undefined) return { tokens, learnedFrom: 0, meta };
    const message = `capture: ${place}: token ${wrong} is outside V = ${tokenizer.size}`;
    throw new LogitcaskError('token-out-of-range', message, { got: wrong });
  }
  const { text, prompt, completion } = cells;
  if (typeof text === 'string') {
    return { tokens: tokenizer.encode(text, true), learnedFrom: 0, meta };
  }
  if (typeof prompt !== 'string' || typeof completion !== 'string') {
    const got = Object.keys(cells).join(', ') || 'none of them';
    throw mismatch(place, '`tokens`, `text`, or `prompt` and `completion`', got);
  }
  const head = tokenizer.encode(prompt, true);
  const tail = tokenizer.encode(completion);
  const tokens = new Int32Array(head.length + tail.length);
  tokens.set(head);
  tokens.set(tail, head.length);
  return { tokens, learnedFrom: Math.max(0, head.length - 1), meta };
}

function metaOf(meta: unknown): Record<string, unknown> {
  if (typeof meta === 'object' && meta !== null) return meta as Record<string, unknown>;
  return typeof meta === 'string' ? { meta } : {};
}

/** Pieces of at most `length` tokens, each scored by itself; one of a single token is left out. */
function* cut({ tokens, learnedFrom, meta }: Document, length: number) {
  for (let from = 0, piece = 0; from < tokens.length; from += length, piece++) {
    const own = tokens.slice(from, from + length);
    if (own.length < 2) return;
    const mask = maskOf(own.length, Math.max(0, learnedFrom - from));
    yield { tokens: own, mask, meta: tokens.length > length ? { ...meta, piece } : meta };
  }
}
