/** The compiled encoder and its reference: the same raw blocks bit for bit. */
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import type { TargetKind, Targets } from '../../src/distribution/targets.ts';
import { type Grid, quantise } from '../../src/encode/levels.ts';
import { encodePlanes, encodeTargets } from '../../src/encode/planes.ts';
import { compiledRaw, type RawBlock, referenceRaw } from '../../src/encode/planes-raw.ts';
import { thresholdsOf } from '../../src/encode/thresholds.ts';
import { createEncoder } from '../../src/kernel/encode.ts';
import { random } from '../support/dump.ts';

const kinds = ['scaled', 'unbiased', 'independent'] as const;
const steps = [0.003, 0.0095, 2e-5, 0.5, 0.1234];
const gridOf = (step: number): Grid => ({ step: Math.fround(step), tau: Math.fround(0.02) });

interface Shape {
  readonly kind: TargetKind;
  readonly counts: readonly number[];
  /** Greatest difference of ids. */
  readonly gap: number;
  readonly step: number;
  readonly order: 'by id' | 'any';
  readonly logprobs: 'usual' | 'at boundaries' | 'strange';
  readonly seed: number;
}

const counts = [0, 1, 3, 4, 5, 31, 32, 33, 63, 64, 65, 128, 129, 255, 256, 300, 512, 513, 1000];

const shapes: fc.Arbitrary<Shape> = fc.record({
  kind: fc.constantFrom(...kinds),
  counts: fc.array(fc.oneof(fc.nat(70), fc.constantFrom(...counts)), { maxLength: 12 }),
  gap: fc.constantFrom(1, 2, 200, 2500, 60_000, 4_000_000),
  step: fc.constantFrom(...steps),
  order: fc.constantFrom('by id', 'any'),
  logprobs: fc.constantFrom('usual', 'at boundaries', 'strange'),
  seed: fc.nat(),
});

const float = new Float32Array(1);
const bits = new Int32Array(float.buffer);

/** The float32 `by` further from 0. */
function beside(x: number, by: number): number {
  float[0] = x;
  bits[0] += by;
  return float[0];
}

const { NEGATIVE_INFINITY, NaN: nan } = Number;
const strange = [0, -0, 1e-7, 0.7, 40, -1e-45, -1e-7, -103, -1e30, NEGATIVE_INFINITY, nan];

function logprobOf({ logprobs, step }: Shape, next: () => number): number {
  const some = (values: ArrayLike<number>) => values[Math.floor(next() * values.length)];
  if (logprobs === 'usual' || next() < 0.2) return -14 * next() ** 2;
  const { tau } = gridOf(step);
  const by = Math.floor(next() * 5) - 2;
  if (logprobs === 'at boundaries') return beside(some(thresholdsOf(Math.fround(step)).lowest), by);
  return next() < 0.5 ? some(strange) : beside(Math.log(next() < 0.5 ? tau : 0.5), by);
}

/** As a permutation: by id, or in any order. */
function idsOf({ gap, order }: Shape, count: number, next: () => number): number[] {
  let id = Math.floor(next() * gap) - 1;
  const ids = Array.from({ length: count }, () => {
    id += 1 + Math.floor(next() * gap);
    return id;
  });
  if (order === 'by id') return ids;
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [ids[i], ids[j]] = [ids[j], ids[i]];
  }
  return ids;
}

function targetsOf(shape: Shape): Targets {
  const next = random(shape.seed);
  const { kind, counts } = shape;
  const ids = counts.flatMap((count) => idsOf(shape, count, next));
  const logprobs = Float32Array.from(ids, () => logprobOf(shape, next));
  return targetsFrom(kind, counts, { ids: Uint32Array.from(ids), logprobs });
}

function targetsFrom(
  kind: TargetKind,
  counts: readonly number[],
  { ids, logprobs }: Pick<Targets, 'ids' | 'logprobs'>,
): Targets {
  let sum = 0;
  const ends = counts.map((count) => {
    sum += count;
    return sum;
  });
  return {
    kind,
    count: counts.length,
    offsets: Uint32Array.from([0, ...ends]),
    ids,
    logprobs,
    rest: Float32Array.from(kind === 'scaled' ? counts : [], (count) => 1 / (1 + (count % 7))),
    labelLogprob: new Float32Array(counts.length),
    logZ: new Float32Array(0),
  };
}

function expectSame(ours: RawBlock | undefined, theirs: RawBlock): void {
  const { raw, ...shape } = ours!;
  const { raw: wanted, ...wantedShape } = theirs;
  expect(shape).toEqual(wantedShape);
  expect(raw.length).toBe(wanted.length);
  const different = raw.findIndex((byte, i) => byte !== wanted[i]); // toEqual takes long to tell
  expect(different).toBe(-1);
}

function expectEqual(targets: Targets, grid: Grid): void {
  expectSame(compiledRaw(targets, grid), referenceRaw(quantise(targets, grid)));
}

/** Positions of 60 entries that hold `logprobs` one after the other. */
function holding(kind: TargetKind, logprobs: Float32Array): Targets {
  const counts = Array.from({ length: Math.ceil(logprobs.length / 60) }, (_, t) =>
    Math.min(60, logprobs.length - 60 * t),
  );
  const ids = Uint32Array.from(logprobs, (_, i) => (i * 7919) % 60_013);
  return targetsFrom(kind, counts, { ids, logprobs });
}

describe('the compiled encoder', () => {
  it('gives what the reference gives', () => {
    const property = fc.property(shapes, (shape) =>
      expectEqual(targetsOf(shape), gridOf(shape.step)),
    );
    fc.assert(property, { numRuns: 400 });
  });

  it.each(kinds)('does so at every boundary of levels, and beside it: %s', (kind) => {
    for (const step of steps) {
      const { lowest } = thresholdsOf(Math.fround(step));
      const logprobs = Float32Array.from({ length: 5 * lowest.length }, (_, i) =>
        beside(lowest[Math.floor(i / 5)], (i % 5) - 2),
      );
      expectEqual(holding(kind, logprobs), gridOf(step));
    }
  });

  it.each(kinds)('does so for a million log-probs of all magnitudes: %s', (kind) => {
    const next = random(3);
    const logprobs = Float32Array.from({ length: 1_000_000 }, () => -25 * next() ** 3);
    for (const step of [0.003, 2e-5]) expectEqual(holding(kind, logprobs), gridOf(step));
  });

  it.each([
    [1, 255],
    [2, 256],
    [2, 65_535],
    [4, 65_536],
    [4, 300_000],
  ])('takes counts of %d byte(s) for %d entries', (countWidth, count) => {
    const shape = { gap: 3, order: 'any', kind: 'scaled', counts: [2, count, 0], seed: 1 } as const;
    const targets = targetsOf({ ...shape, step: 0.003, logprobs: 'usual' });
    targets.logprobs.fill(-3);
    expect(compiledRaw(targets, gridOf(0.003))?.countWidth).toBe(countWidth);
    expectEqual(targets, gridOf(0.003));
  });

  it.each([
    [2, 65_535],
    [3, 65_536],
    [3, 2 ** 24 - 1],
    [4, 2 ** 24],
    [4, 2 ** 32 - 1],
  ])('takes %d planes for id %d', (idPlanes, id) => {
    for (const ids of [[id], [5, id, 2]]) {
      const logprobs = new Float32Array(ids.length).fill(-1);
      const targets = targetsFrom('scaled', [0, ids.length], {
        ids: Uint32Array.from(ids),
        logprobs,
      });
      const wide =
        ids.length === 1 ? idPlanes : referenceRaw(quantise(targets, gridOf(0.5))).idPlanes;
      expect(compiledRaw(targets, gridOf(0.5))?.idPlanes).toBe(wide);
      expectEqual(targets, gridOf(0.5));
    }
  });

  it('goes from step to step, and from large samples to small ones', () => {
    const shape = { kind: 'scaled', gap: 9, order: 'any', logprobs: 'usual' } as const;
    const sized = (positions: number, step: number) =>
      targetsOf({ ...shape, counts: new Array(positions).fill(40), step, seed: positions });
    for (const positions of [3, 5000, 1, 900]) {
      for (const step of steps) expectEqual(sized(positions, step), gridOf(step));
    }
  });

  it('leaves to the reference what takes more memory than it keeps', () => {
    const ids = Uint32Array.from({ length: 1_700_000 }, (_, id) => id);
    const logprobs = new Float32Array(ids.length).fill(-4);
    const targets = targetsFrom('scaled', [ids.length], { ids, logprobs });
    expect(compiledRaw(targets, gridOf(0.0095))).toBeUndefined();
    const options = { ...gridOf(0.0095), compression: 'lz4' } as const;
    const frame = Buffer.from(encodeTargets(targets, options));
    expect(frame.equals(encodePlanes(quantise(targets, options), options))).toBe(true);
  });

  it('is not there where WebAssembly has no SIMD', () => {
    const { WebAssembly } = globalThis as unknown as { WebAssembly: { validate(): boolean } };
    vi.spyOn(WebAssembly, 'validate').mockReturnValue(false);
    expect(createEncoder()).toBeUndefined();
  });
});

describe('frames of targets', () => {
  it('are those of their levels', () => {
    const compression = fc.constantFrom('zstd' as const, 'lz4' as const);
    const property = fc.property(shapes, compression, (shape, compression) => {
      const targets = targetsOf(shape);
      const options = { ...gridOf(shape.step), compression };
      const frame = Buffer.from(encodeTargets(targets, options));
      expect(frame.equals(encodePlanes(quantise(targets, options), options))).toBe(true);
    });
    fc.assert(property);
  });
});
