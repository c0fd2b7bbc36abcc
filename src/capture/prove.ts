/** What a server must show before its lists are believed, where no texts are at hand. */
import type { AlignmentCheck } from '../../schemas/manifest.ts';
import type { ListRows } from '../distribution/rows.ts';
import { checkAlignment } from './alignment.ts';
import { chunksOf } from './lists-sample.ts';
import type { Scorer } from './server-source.ts';
import { maskOf } from './source.ts';
import type { TextTokenizer } from './tokenizer.ts';

/** The beginning of the King James Version: public domain, and easy to predict. */
const text =
  'In the beginning God created the heaven and the earth. And the earth was without form, and ' +
  'void; and darkness was upon the face of the deep. And the Spirit of God moved upon the face ' +
  'of the waters. And God said, Let there be light: and there was light. And God saw the light, ' +
  'that it was good: and God divided the light from the darkness. And God called the light Day, ' +
  'and the darkness he called Night. And the evening and the morning were the first day.';

/** As many tokens as the teacher's context takes, of a text of our own or of those given. */
export function proofTokens(scorer: Scorer, given: TextTokenizer | Int32Array): Int32Array {
  const limit = Math.max(2, Math.min(256, (scorer.facts.contextMax ?? 256) - 1));
  return (given instanceof Int32Array ? given : given.encode(text, true)).slice(0, limit);
}

/** Throws `teacher-unsuitable`, `source-misaligned`. */
export async function proveScorer(scorer: Scorer, tokens: Int32Array): Promise<AlignmentCheck> {
  await scorer.probe(tokens);
  return alignmentOf(scorer, tokens, await scorer.score(tokens));
}

/** Throws `source-misaligned` where the lists are not those of the next tokens. */
export function alignmentOf(
  { identity }: Scorer,
  tokens: Int32Array,
  rows: ListRows,
): Promise<AlignmentCheck> {
  const mask = maskOf(tokens.length);
  return checkAlignment({
    identity,
    inputs: { origin: 'proof', licence: 'public domain', digest: '' },
    async *chunks() {
      yield* chunksOf({ tokens, mask, meta: {}, rows }, 0);
    },
    async close() {},
  });
}
