/** What is asked of a teacher's cache: sequences in, their lists out. */
import { z } from 'zod';
import { targetSetName } from './common.ts';

export const tokenId = z.int().min(0).max(0xffffff);
const topK = z.coerce.number().int().min(1).max(65_535);

/** JSON; as an Arrow stream: column `tokens`, and `prompt_length` and `meta` where wanted. */
export const scoreBody = z.strictObject({
  /** Token ids of each sequence. */
  sequences: z.array(z.array(tokenId)).min(1).max(4096),
  /** Tokens of each prompt: what follows is learned. Whole sequences are, by default. */
  prompt_lengths: z.array(z.int().min(1)).optional(),
  /** Kept beside each sequence that is scored for the first time. */
  meta: z.array(z.record(z.string(), z.unknown())).optional(),
});

export const scoreQuery = z.strictObject({
  /** Teachers to ask, by target set, joined by commas; all by default. */
  target_sets: z
    .string()
    .transform((text) => text.split(','))
    .pipe(z.array(targetSetName).min(1))
    .optional(),
  /** Entries a position; those of the cache by default, and at most. */
  top_k: topK.optional(),
});

export type ScoreBody = z.infer<typeof scoreBody>;
export type ScoreQuery = z.infer<typeof scoreQuery>;
