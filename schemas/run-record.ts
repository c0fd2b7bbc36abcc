/** A line of a run's record: what one rank received at one step. */
import { z } from 'zod';
import { count, sha256 } from './common.ts';

export const runLine = z.strictObject({
  plan: sha256,
  epoch: count,
  step: count,
  rank: count,
  world: z.int().positive(),
  replicate: z.int().positive().default(1),
  /** Sample ids (hex) of the rows that do not only pad. */
  ids: z.array(z.string().regex(/^[0-9a-f]{32}$/)),
  /** Packed plans: first position and number of positions of each row. */
  parts: z.array(z.tuple([count, count])).optional(),
});

export type RunLine = z.infer<typeof runLine>;
