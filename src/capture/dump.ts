/** Dumps on disk: whole logits in `.npy` or safetensors, top lists in `.npz`; never read whole. */
import type { DumpSourceConfig } from '../../schemas/build-config.ts';
import { LogitcaskError } from '../errors.ts';
import { digestOf } from '../formats/canonical.ts';
import { integersOf, npyCount, openNpy } from '../formats/npy.ts';
import { idBytesMax, openDense, openTensors } from './dump-dense.ts';
import { openLists } from './dump-lists.ts';
import type { DumpRows } from './dump-rows.ts';
import { fileRowsBytes, readRows } from './file-rows.ts';
import { digestOfFile, readInput } from './input-file.ts';
import {
  type Chunk,
  chunkBytesMax,
  type Lend,
  maskOf,
  ownMemory,
  type SampleInput,
  type Source,
  type UnreadChunk,
} from './source.ts';
import type { Threads } from './threads.ts';
import { openTokenizer } from './tokenizer.ts';

/** By the ending of the file; `.npy` by default. */
const readers = { npz: openLists, safetensors: openTensors } as const;

/** Samples of `length` positions, from the one with ordinal `from` on. */
interface Run {
  readonly from: number;
  readonly length: number;
}

interface Ids {
  readonly tokens: Int32Array;
  readonly next: Int32Array | undefined;
}

/**
 * Errors: `source-unreadable` (a file is missing or malformed), `source-mismatch` (lengths differ),
 * `token-out-of-range`, `source-misaligned` (`next` is not the token that follows), `row-invalid`
 * (from the chunks).
 */
export async function openDumpSource(
  config: DumpSourceConfig,
  { threads }: { threads?: Threads } = {},
): Promise<Source> {
  const ending = config.logits.slice(config.logits.lastIndexOf('.') + 1);
  const open = readers[ending as keyof typeof readers] ?? openDense;
  const dump = await open(config.logits);
  try {
    const ids = await idsOf(dump, config);
    checkIds(dump, ids, config);
    const tokenizerJson =
      config.tokenizer === undefined ? undefined : await readInput(config.tokenizer);
    const tokenizer = tokenizerJson && openTokenizer(tokenizerJson, `${config.tokenizer}`);
    if (tokenizer !== undefined && tokenizer.size > dump.width) {
      const what = `the tokenizer has ${tokenizer.size} ids, the rows have ${dump.width}`;
      throw mismatch(what, `at most ${dump.width} ids`, tokenizer.size);
    }
    const digest = await digestFiles(config, threads);
    const { sample_length: length } = config;
    const unread = (from: number) => chunks(dump, ids, { from, length });
    const samples = () => samplesOf(dump, ids, { from: 0, length });
    return {
      identity: {
        name: config.teacher,
        revision: digest,
        source: 'dump',
        vocabulary: dump.width,
        tokenizer: tokenizer?.digest ?? null,
        reports: dump.reports,
      },
      inputs: { origin: `dump of ${config.teacher}`, licence: config.licence, digest },
      positions: dump.count,
      learned: learnedOf(dump, config),
      samples: dump.reports === 'whole' ? samples : undefined,
      tokenizerJson,
      chunks: (from, lend = ownMemory()) => read(unread(from), lend),
      unread,
      close: () => dump.close(),
    };
  } catch (error) {
    await dump.close();
    throw error;
  }
}

/** Files that the configuration names come before what the dump itself holds. */
async function idsOf(dump: DumpRows, config: DumpSourceConfig): Promise<Ids> {
  const of = (file: string | undefined, own: Int32Array | undefined) =>
    file === undefined ? own : readIds(file);
  const tokens = await of(config.tokens, dump.tokens);
  const next = await of(config.next, dump.next);
  if (tokens !== undefined) return { tokens, next };
  const message = `config: ${config.logits} holds no input ids; name their .npy as source.tokens`;
  throw new LogitcaskError('config-invalid', message, { expected: 'source.tokens' });
}

async function readIds(file: string): Promise<Int32Array> {
  const npy = await openNpy(file);
  try {
    const length = npyCount(npy.header) * npy.header.width;
    if (length <= idBytesMax) return integersOf(await npy.read(0, length), npy.header, file);
    const message = `capture: ${file} holds ${length} bytes of ids; split the dump`;
    throw new LogitcaskError('source-unreadable', message, { expected: idBytesMax, got: length });
  } finally {
    await npy.close();
  }
}

function checkIds(
  { count, width }: DumpRows,
  { tokens, next }: Ids,
  { logits, sample_length: length }: DumpSourceConfig,
): void {
  if (count === 0) throw mismatch(`${logits} holds no rows`, 'a row or more', 0);
  for (const [name, ids] of Object.entries({ tokens, next })) {
    if (ids === undefined) continue;
    if (ids.length !== count) {
      throw mismatch(`${ids.length} ids in ${name} for the ${count} rows`, count, ids.length);
    }
    const outside = ids.findIndex((id) => id < 0 || id >= width);
    if (outside < 0) continue;
    const place = `row ${outside} of ${name}`;
    const message = `capture: id ${ids[outside]} at ${place} is outside V = ${width}`;
    throw new LogitcaskError('token-out-of-range', message, {
      expected: `0 … ${width - 1}`,
      got: ids[outside],
    });
  }
  // between samples the text may break off
  const wrong = next?.findIndex(
    (id, t) => (t + 1) % length !== 0 && t + 1 < count && id !== tokens[t + 1],
  );
  if (next === undefined || wrong === undefined || wrong < 0) return;
  const message =
    `capture: the next id of row ${wrong} is ${next[wrong]}, but row ${wrong + 1} holds ` +
    `${tokens[wrong + 1]}; shift a file by one, or set sample_length to where sequences end`;
  throw new LogitcaskError('source-misaligned', message, {
    expected: tokens[wrong + 1],
    got: next[wrong],
  });
}

function mismatch(what: string, expected: unknown, got: unknown): LogitcaskError {
  const message = `capture: ${what}; take files of one export`;
  return new LogitcaskError('source-mismatch', message, { expected, got });
}

/** All but the last of each sample. */
function learnedOf(
  { count, reports }: DumpRows,
  { sample_length: length }: DumpSourceConfig,
): number | undefined {
  return reports === 'whole' ? count - Math.ceil(count / length) : undefined;
}

/** SHA-256 (hex) over the digests of all input files. */
async function digestFiles(config: DumpSourceConfig, threads?: Threads): Promise<string> {
  const { logits, tokens, next, tokenizer } = config;
  const digests: Record<string, string> = {};
  for (const [name, file] of Object.entries({ logits, tokens, next, tokenizer })) {
    if (file !== undefined) digests[name] = await digestOfFile(file, threads);
  }
  return digestOf(digests);
}

function* samplesOf({ count }: DumpRows, ids: Ids, { from, length }: Run): Generator<SampleInput> {
  for (let ordinal = from; ordinal * length < count; ordinal++) {
    const first = ordinal * length;
    const tokens = ids.tokens.slice(first, first + length);
    const next = ids.next?.[first + tokens.length - 1];
    yield { ordinal, tokens, mask: maskOf(tokens.length), next, meta: { row: first } };
  }
}

async function* chunks(dump: DumpRows, ids: Ids, run: Run): AsyncGenerator<UnreadChunk> {
  const cursor = await dump.rows(Math.min(dump.count, run.from * run.length));
  const rowsMax = Math.max(1, Math.floor(chunkBytesMax / dump.rowBytes));
  try {
    for (const sample of samplesOf(dump, ids, run)) {
      const { length } = sample.tokens;
      for (let position = 0; position < length; position += rowsMax) {
        const rows = await cursor.take(Math.min(rowsMax, length - position));
        yield { sample, position, rows };
      }
    }
  } finally {
    await cursor.close();
  }
}

async function* read(chunks: AsyncIterable<UnreadChunk>, lend: Lend): AsyncGenerator<Chunk> {
  for await (const chunk of chunks) {
    const { rows } = chunk;
    yield {
      ...chunk,
      rows: rows.form === 'file' ? readRows(rows, lend(fileRowsBytes(rows))) : rows,
    };
  }
}
