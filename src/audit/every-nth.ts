/**
 * The positions of a large snapshot that costly measures look at: every n-th of each sample, from
 * one on that the sample's id decides, so that threads, resumed audits and machines agree.
 */
import type { Manifest } from '../../schemas/manifest.ts';

/** So many positions, or more, are looked at; all of a snapshot with fewer. */
const positionsMin = 262_144;

export interface EveryNth {
  /** What each position looked at stands for. */
  readonly every: number;
  /** The first position of a sample. */
  first(sampleId: Uint8Array): number;
}

/** Of a large snapshot, at most so many positions are passed over for each that is looked at. */
export function everyNth({ totals }: Pick<Manifest, 'totals'>, everyMax: number): EveryNth {
  const every = Math.max(1, Math.min(everyMax, Math.floor(totals.positions / positionsMin)));
  // bytes of a digest
  return { every, first: (id) => (id[0] + 256 * id[1] + 65_536 * id[2]) % every };
}
