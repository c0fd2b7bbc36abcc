/** What an audit found of the images of a snapshot's samples. */
import { z } from 'zod';
import { count } from './common.ts';

/** Stored images, or those at `file:` addresses, beside the digests that their samples have. */
export const imagesReport = (rowsMax: number) =>
  z.strictObject({
    stored: z.boolean().default(false),
    checked: count,
    /** At other addresses. */
    skipped: count,
    wrong: count,
    problems: z
      .array(
        z.strictObject({ ordinal: count, uri: z.string(), what: z.enum(['missing', 'changed']) }),
      )
      .max(rowsMax),
  });
