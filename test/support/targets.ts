/** Targets for tests: written out by hand, or random ones of any shape. */
import fc from 'fast-check';
import type { DecodedTargets, TargetKind, Targets } from '../../src/distribution/targets.ts';
import { random } from './dump.ts';

export interface Entry {
  readonly id: number;
  readonly p: number;
}

/** Positions in rank order; `rest` is what they leave of 1 unless it is given. */
export function targetsOf(
  positions: readonly (readonly Entry[])[],
  { kind = 'scaled' as TargetKind, rest = [] as readonly number[] } = {},
): Targets {
  const offsets = new Uint32Array(positions.length + 1);
  positions.forEach((entries, t) => {
    offsets[t + 1] = offsets[t] + entries.length;
  });
  const flat = positions.flatMap((entries) =>
    [...entries].sort((a, b) => b.p - a.p || a.id - b.id),
  );
  const left = positions.map((entries, t) => {
    const mass = entries.reduce((sum, { p }) => sum + p, 0);
    return rest[t] ?? (entries.length === 0 ? 1 : Math.max(0, 1 - mass));
  });
  return {
    kind,
    count: positions.length,
    offsets,
    ids: Uint32Array.from(flat, ({ id }) => id),
    logprobs: Float32Array.from(flat, ({ p }) => Math.log(p)),
    rest: Float32Array.from(kind === 'scaled' ? left : []),
    labelLogprob: new Float32Array(positions.length).fill(Number.NaN),
    logZ: new Float32Array(0),
  };
}

export interface TargetsShape {
  readonly positions: number;
  readonly entriesMax: number;
  readonly width: number;
  readonly seed: number;
  /** Most mass that the entries of a position hold. */
  readonly mass: number;
}

/** Every third position or so is empty; probabilities span many magnitudes. */
export function randomTargets(shape: TargetsShape): Targets {
  const { positions, entriesMax, width, seed, mass } = shape;
  const next = random(seed);
  const all = Array.from({ length: positions }, () => {
    const count = next() < 0.3 ? 0 : Math.ceil(next() * Math.min(entriesMax, width));
    const ids = new Set<number>();
    while (ids.size < count) ids.add(Math.floor(next() * width));
    const weights = Array.from(ids, () => Math.exp(-12 * next()));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const kept = mass * (0.2 + 0.8 * next());
    return Array.from(ids, (id, i) => ({ id, p: (weights[i] / total) * kept }));
  });
  return targetsOf(all);
}

export const targetShapes: fc.Arbitrary<TargetsShape> = fc.record({
  positions: fc.integer({ min: 1, max: 30 }),
  entriesMax: fc.constantFrom(0, 1, 2, 16, 70, 300),
  width: fc.constantFrom(1, 2, 300, 60_000, 128_256, 16_777_217, 0xffffffff),
  seed: fc.nat(),
  mass: fc.constantFrom(1, 0.999_999, 0.7, 0.001),
});

/** A position of decoded targets. */
export function decodedEntries(targets: DecodedTargets, t: number): Entry[] {
  const [from, to] = [targets.offsets[t], targets.offsets[t + 1]];
  const ids = Array.from(targets.ids.subarray(from, to));
  return ids.map((id, i) => ({ id, p: targets.probs[from + i] }));
}
