/** What a server can do as a teacher, found by asking it: a few requests, some seconds. */
import type { ServerSourceConfig } from '../../schemas/build-config.ts';
import type { ListRows } from '../distribution/rows.ts';
import { asLogitcaskError, LogitcaskError } from '../errors.ts';
import { checkAlignment } from './alignment.ts';
import { generators } from './generators/table.ts';
import { readInput } from './input-file.ts';
import { chunksOf } from './lists-sample.ts';
import { firstTokens, openScorer } from './server-source.ts';
import { servers } from './servers/table.ts';
import type { Source } from './source.ts';
import { openTokenizer } from './tokenizer.ts';

/** Lists that are asked for, the longest first. */
const longest = [4096, 1024, 256, 128, 64, 32, 20, 8, 1];
const speedRequests = 8;
const speedK = 64;

/** Said by the King James Version and nobody's model alone: public domain, and easy to predict. */
const text =
  'In the beginning God created the heaven and the earth. And the earth was without form, and ' +
  'void; and darkness was upon the face of the deep. And the Spirit of God moved upon the face ' +
  'of the waters. And God said, Let there be light: and there was light. And God saw the light, ' +
  'that it was good: and God divided the light from the darkness. And God called the light Day, ' +
  'and the darkness he called Night. And the evening and the morning were the first day.';

export interface Diagnosis {
  /** vLLM 0.32.0 */
  readonly version: string;
  readonly model: string;
  readonly context: number | null;
  readonly vocabulary: number;
  /** SHA-256 of tokenizer.json. */
  readonly tokenizer: string;
  /** Longest lists that it gives, and what it said of longer ones. */
  readonly top_k: number;
  readonly top_k_refusal: string | null;
  /** Mean log-prob of the token at shifts −1, 0, +1. */
  readonly alignment: { readonly before: number; readonly at: number; readonly after: number };
  /** Mean difference of log-probs where two texts that differ in their last token are equal. */
  readonly difference: number;
  /** Positions a second, at lists of 64 or the longest that it gives. */
  readonly positions_per_second: number;
}

/**
 * Asks for the first sample of the texts, or of a text of its own where there are none. Errors:
 * those of `openServerSource`.
 */
export async function diagnose(config: ServerSourceConfig): Promise<Diagnosis> {
  const tokenizer = openTokenizer(await readInput(config.tokenizer), config.tokenizer);
  const scorer = await openScorer(config, tokenizer);
  const { facts, width, score } = scorer;
  const limit = Math.max(2, Math.min(256, (facts.contextMax ?? 256) - 1));
  const own = config.texts.length === 0;
  const first = own ? tokenizer.encode(text, true) : await firstTokens(config, tokenizer);
  const tokens = first.slice(0, limit);
  const { k, refusal } = await longestLists(score, { tokens, width });
  const rows = await score(tokens, Math.min(k, speedK));
  const probed = await scorer.probe(tokens, Math.min(k, speedK));
  const alignment = await checkAlignment(sourceOf(tokens, rows, scorer.identity));
  const started = performance.now();
  const asked = Math.min(speedRequests, config.concurrency);
  await Promise.all(Array.from({ length: asked }, () => score(tokens, Math.min(k, speedK))));
  const seconds = (performance.now() - started) / 1000;
  const { before, at, after } = alignment;
  return {
    version: facts.version,
    model: scorer.identity.name,
    context: facts.contextMax ?? null,
    vocabulary: width,
    tokenizer: tokenizer.digest,
    top_k: k,
    top_k_refusal: refusal,
    alignment: { before, at, after },
    difference: probed.difference,
    positions_per_second: Math.round((asked * tokens.length) / seconds),
  };
}

/** Tries lists from the longest on; what the server says of the last refused one is kept. */
async function longestLists(
  score: (tokens: Int32Array, k: number) => Promise<ListRows>,
  { tokens, width }: { tokens: Int32Array; width: number },
): Promise<{ k: number; refusal: string | null }> {
  const few = tokens.slice(0, 8);
  let refusal: LogitcaskError | undefined;
  for (const k of longest.filter((length) => length <= width)) {
    try {
      const { offsets } = await score(few, k);
      const entries = offsets[1] - offsets[0];
      if (entries > 0) return { k: entries, refusal: refusal?.message ?? null };
    } catch (error) {
      refusal = asLogitcaskError(error);
      if (refusal.code !== 'teacher-refused') throw error;
    }
  }
  throw refusal ?? new LogitcaskError('teacher-unsuitable', 'capture: the teacher gives no lists');
}

function sourceOf(tokens: Int32Array, rows: ListRows, identity: Source['identity']): Source {
  const mask = new Uint8Array(tokens.length).fill(1, 0, -1);
  return {
    identity,
    inputs: { origin: 'doctor', licence: 'public domain', digest: '' },
    async *chunks() {
      yield* chunksOf({ tokens, mask, meta: {}, rows }, 0);
    },
    async close() {},
  };
}

export type TeacherType = keyof typeof servers | keyof typeof generators;

/** `vllm:http://host:port` */
export function teacherAddress(address: string): { type: TeacherType; url: string } {
  const names = [...new Set([...Object.keys(servers), ...Object.keys(generators)])];
  const match = /^([a-z-]+):(https?:\/\/.+)$/.exec(address);
  if (match !== null && names.includes(match[1])) {
    return { type: match[1] as TeacherType, url: match[2].replace(/\/+$/, '') };
  }
  const expected = names.map((name) => `${name}:http://host:port`);
  const message = `request: ${address} names no teacher; give ${expected.join(' or ')}`;
  throw new LogitcaskError('request-invalid', message, { expected, got: address });
}
