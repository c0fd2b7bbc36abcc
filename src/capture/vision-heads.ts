/** The heads that a configuration of images names, and what they are over. */
import type { VisionSourceConfig } from '../../schemas/build-config.ts';
import { LogitcaskError } from '../errors.ts';
import type { Head, SampleInput } from './source.ts';

/** One array of scores: one head, or one for each part. */
export type ScoredHead = VisionSourceConfig['heads'][number];

/** In the order of their target sets; the first one is named by the configuration of the build. */
export function scoredHeads(config: VisionSourceConfig): ScoredHead[] {
  const { scores, normalisation, values, classes } = config;
  return [{ name: 'teacher', scores, normalisation, values, classes }, ...config.heads];
}

/** Heads over `size` classes. Throws `config-invalid` where there are as many other names. */
export function headsOver({ name, parts, classes, ...head }: ScoredHead, size: number): Head[] {
  const { scores, normalisation } = head;
  if (classes !== undefined && classes.length !== size) {
    const message = `config: ${classes.length} names for the ${size} classes of ${scores}`;
    throw new LogitcaskError('config-invalid', message, { expected: size, got: classes.length });
  }
  const labelSpace = { kind: 'classes' as const, size, tokenizer: null, names: classes };
  return (parts ?? [name]).map((own) => ({ name: own, labelSpace, normalisation }));
}

/** Hard labels are classes of the first head, or −100. Throws `token-out-of-range`. */
export function refuseLabels({ ordinal, image }: SampleInput, width: number): void {
  const got = image?.labels.find((label) => label >= width || (label < 0 && label !== -100));
  if (got === undefined) return;
  const message = `capture: image ${ordinal} has the hard label ${got}; it is a class, or -100`;
  throw new LogitcaskError('token-out-of-range', message, { expected: `0 … ${width - 1}`, got });
}
