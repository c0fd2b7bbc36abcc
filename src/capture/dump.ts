/** Dumps on disk: whole logits in `.npy`, top lists in `.npz`; read chunk by chunk, never whole. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { DumpSourceConfig } from '../../schemas/build-config.ts';
import { LogitcaskError } from '../errors.ts';
import { digestOf } from '../formats/canonical.ts';
import { openDense } from './dump-dense.ts';
import { openLists } from './dump-lists.ts';
import type { DumpRows } from './dump-rows.ts';
import { type Chunk, chunkBytesMax, type SampleInput, type Source } from './source.ts';
import { openTokenizer } from './tokenizer.ts';

/**
 * Errors: `source-unreadable` (a file is missing or malformed), `source-mismatch` (lengths differ),
 * `token-out-of-range`, `source-misaligned` (`next` is not the token that follows).
 */
export async function openDumpSource(config: DumpSourceConfig): Promise<Source> {
  const dump = config.logits.endsWith('.npz') ? await openLists(config) : await openDense(config);
  try {
    checkTokens(dump, config);
    const tokenizerJson =
      config.tokenizer === undefined ? undefined : await readFile(config.tokenizer);
    const tokenizer =
      tokenizerJson && openTokenizer(tokenizerJson, config.tokenizer as string).digest;
    const digest = await digestFiles(config);
    return {
      identity: {
        name: config.teacher,
        revision: digest,
        source: 'dump',
        vocabulary: dump.width,
        tokenizer: tokenizer ?? null,
        reports: dump.reports,
      },
      inputs: { origin: `dump of ${config.teacher}`, licence: config.licence, digest },
      positions: dump.tokens.length,
      tokenizerJson,
      chunks: (from) => chunks(dump, config, from),
      close: () => dump.close(),
    };
  } catch (error) {
    await dump.close();
    throw error;
  }
}

function checkTokens({ tokens, next, width }: DumpRows, config: DumpSourceConfig): void {
  const outside = tokens.findIndex((token) => token < 0 || token >= width);
  if (outside >= 0) {
    const message = `capture: token ${tokens[outside]} at row ${outside} is outside the vocabulary`;
    throw new LogitcaskError('token-out-of-range', message, {
      expected: `0 … ${width - 1}`,
      got: tokens[outside],
    });
  }
  if (next === undefined) return;
  for (let t = 0; t < next.length; t++) {
    const inside = next[t] >= 0 && next[t] < width;
    const sameSample = (t + 1) % config.sample_length !== 0 && t + 1 < tokens.length;
    if (inside && (!sameSample || next[t] === tokens[t + 1])) continue;
    const message = `capture: the next id of row ${t} is ${next[t]}, but token ${t + 1} is another`;
    throw new LogitcaskError('source-misaligned', message, {
      expected: tokens[t + 1],
      got: next[t],
    });
  }
}

/** SHA-256 (hex) over the digests of all input files, each streamed. */
async function digestFiles(config: DumpSourceConfig): Promise<string> {
  const files = [config.logits, config.tokens, config.next, config.tokenizer];
  const digests: string[] = [];
  for (const file of files) {
    if (file === undefined) continue;
    const hash = createHash('sha256');
    for await (const piece of createReadStream(file, { highWaterMark: 1024 * 1024 })) {
      hash.update(piece);
    }
    digests.push(hash.digest('hex'));
  }
  return digestOf(digests);
}

async function* chunks(
  dump: DumpRows,
  { sample_length: length }: DumpSourceConfig,
  from: number,
): AsyncGenerator<Chunk> {
  const { tokens, next } = dump;
  const cursor = await dump.rows(Math.min(tokens.length, from * length));
  const rowsMax = Math.max(1, Math.floor(chunkBytesMax / dump.rowBytes));
  try {
    for (let ordinal = from; ordinal * length < tokens.length; ordinal++) {
      const first = ordinal * length;
      const own = tokens.slice(first, first + length);
      const sample: SampleInput = {
        ordinal,
        tokens: own,
        mask: new Uint8Array(own.length).fill(1, 0, own.length - 1),
        next: next?.[first + own.length - 1],
        meta: { row: first },
      };
      for (let position = 0; position < own.length; position += rowsMax) {
        const rows = await cursor.take(Math.min(rowsMax, own.length - position));
        yield { sample, position, rows };
      }
    }
  } finally {
    await cursor.close();
  }
}
