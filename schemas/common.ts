/** Pieces that several documents share. */
import { z } from 'zod';

export const sha256Pattern = /^[0-9a-f]{64}$/;
export const sha256 = z.string().regex(sha256Pattern, 'expected 64 lower-case hex digits');

/** Data sets, tags and files: one path segment, never `.` or `..`. */
export const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;
const nameLengthMax = 128;
export const name = z
  .string()
  .max(nameLengthMax)
  .regex(namePattern, 'expected letters, digits, `.`, `_` and `-`');
export const isName = (text: unknown) =>
  typeof text === 'string' && text.length <= nameLengthMax && namePattern.test(text);

/** Target sets: need no quoting in SQL. */
export const targetSetName = z
  .string()
  .max(32)
  .regex(/^[a-z][a-z0-9]*$/, 'expected a lower-case letter, then lower-case letters and digits');

/** Of images, whose inputs have columns that begin with two others. */
export const isHeadName = (set: string) => set !== 'input' && set !== 'augmentation';
export const headMisfit = { error: 'expected another name than input and augmentation' };
export const headName = targetSetName.refine(isHeadName, headMisfit);

/** `scaled` and `independent` are probabilities, `unbiased` targets weights. */
export const targetKind = z.enum(['scaled', 'unbiased', 'independent']);

/** Exact in a double. */
export const count = z.int().nonnegative();

/** A uint64 as a decimal string: JSON numbers lose its last bits. */
export const uint64 = z
  .string()
  .regex(/^(0|[1-9][0-9]{0,19})$/, 'expected a decimal integer')
  .refine((text) => BigInt(text) < 1n << 64n, 'expected an integer below 2^64');

export const temperature = z.number().min(0.01).max(1000);

/** How the columns of a shard are kept: Arrow IPC for serving, Parquet for archive and SQL. */
export const containerName = z.enum(['arrow', 'parquet']);

export type ContainerName = z.infer<typeof containerName>;
