/** The integers of stored cells as they are, for those who write the same ones in another way. */
import type { TargetSet } from '../../schemas/manifest.ts';
import { damaged } from './frame.ts';
import type { Grid, Levels } from './levels.ts';
import { readPlain } from './plain.ts';
import { decodePlanes } from './planes.ts';

/** What the levels of a codec stand for. */
export function gridOf({ parameters }: TargetSet['codec']): Grid {
  const { step, tau = 0 } = parameters as Readonly<Record<string, number>>;
  return { step: Math.fround(step), tau: Math.fround(tau) };
}

/** Cells of one sample in the order of the codec's columns; not for codec `raw`. */
export function levelsOf(
  set: TargetSet,
  cells: readonly Uint8Array[],
  { width, count }: { width: number; count: number },
): Levels {
  const { kind, codec } = set;
  const { step, tau } = gridOf(codec);
  if (codec.name === 'plain') return readPlain(cells, { kind, width, count, step });
  const { header, levels } = decodePlanes(cells[0], { width, count });
  // columns have one step and τ, those of the manifest
  if (header.kind === kind && header.step === step && header.tau === tau) return levels;
  const got = { kind: header.kind, step: header.step, tau: header.tau };
  throw damaged('it has another step or τ than its target set', { kind, step, tau }, got);
}
