/** The fast paths give what the plain definitions give, bit for bit. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Targets } from '../../src/distribution/targets.ts';
import { compressions } from '../../src/encode/compression.ts';
import { headerBytes } from '../../src/encode/frame.ts';
import {
  dequantise,
  type Grid,
  type Levels,
  quantise,
  quantiseRest,
} from '../../src/encode/levels.ts';
import { decodeFrame, decodePlanes, encodePlanes } from '../../src/encode/planes.ts';
import { thresholdsOf } from '../../src/encode/thresholds.ts';
import { random } from '../support/dump.ts';
import { randomTargets, targetShapes } from '../support/targets.ts';

/** `quantise` by its definition: an exponential an entry, a sort a position. */
function plainLevels(targets: Targets, { step, tau }: Grid): Levels {
  const { kind, count, offsets, ids, logprobs } = targets;
  const out = { counts: [] as number[], ids: [] as number[], levels: [] as number[] };
  const rest: number[] = [];
  for (let t = 0; t < count; t++) {
    const entries: [id: number, level: number][] = [];
    let mass = targets.rest[t];
    for (let i = offsets[t]; i < offsets[t + 1]; i++) {
      const level = Math.round(Math.exp(logprobs[i] / 2) / step);
      const atTau = logprobs[i] === Math.fround(Math.log(tau));
      if (kind === 'unbiased') entries.push([ids[i], atTau ? 0 : Math.max(1, level)]);
      else if (level === 0) mass += Math.exp(logprobs[i]);
      else entries.push([ids[i], level]);
    }
    entries.sort(([a], [b]) => a - b);
    out.counts.push(entries.length);
    out.ids.push(...entries.map(([id]) => id));
    out.levels.push(...entries.map(([, level]) => level));
    if (kind === 'scaled') rest.push(entries.length === 0 ? 0 : Math.max(1, quantiseRest(mass)));
  }
  return {
    kind,
    counts: Uint32Array.from(out.counts),
    ids: Uint32Array.from(out.ids),
    levels: Uint16Array.from(out.levels),
    rest: Uint16Array.from(rest),
  };
}

/** The raw block by docs/format.md, a plane after the other. */
function plainBlock(
  levels: Levels,
  { countWidth, idPlanes }: { countWidth: number; idPlanes: number },
): Buffer {
  const planes = (values: readonly number[], count: number) =>
    Array.from({ length: count }, (_, k) => values.map((v) => Math.floor(v / 256 ** k) % 256));
  const deltas: number[] = [];
  let at = 0;
  for (const count of levels.counts) {
    const own = Array.from(levels.ids.subarray(at, at + count));
    deltas.push(...own.map((id, i) => id - (own[i - 1] ?? 0)));
    at += count;
  }
  const counts = Array.from(levels.counts).flatMap((count) => planes([count], countWidth).flat());
  const rest = planes(Array.from(levels.rest), 2).flat();
  const all = [planes(deltas, idPlanes), planes(Array.from(levels.levels), 2)];
  return Buffer.from([...counts, ...rest, ...all.flat(2)]);
}

const steps = [0.003, 0.0095, 2e-5, 0.5, 0.1234];

describe('levels by thresholds', () => {
  it.each(steps)('are the rounded exponentials around every boundary: step %d', (given) => {
    const step = Math.fround(given);
    const { exact, lowest } = thresholdsOf(step);
    const float = new Float32Array(1);
    const bits = new Uint32Array(float.buffer);
    const stride = Math.max(1, Math.floor(lowest.length / 500));
    for (let level = 1; level < lowest.length - 1; level += stride) {
      float[0] = lowest[level];
      expect(exact(lowest[level])).toBe(level);
      bits[0] += 1; // away from 0: the next lower float32
      expect(exact(float[0])).toBe(level - 1);
    }
    expect(lowest.length - 2).toBe(Math.round(1 / step));
  });

  it('keep a boundary that lies at 0 itself', () => {
    const { exact, lowest } = thresholdsOf(2 / 3); // 1 / step rounds up from 1.5 alone
    expect(exact(0)).toBe(2);
    expect(exact(lowest[2])).toBe(2);
  });
});

describe('quantise', () => {
  it('gives the integers of the plain definition', () => {
    const property = fc.property(targetShapes, fc.constantFrom(...steps), (shape, step) => {
      const targets = randomTargets(shape);
      const grid = { step: Math.fround(step), tau: 0 };
      expect(quantise(targets, grid)).toEqual(plainLevels(targets, grid));
    });
    fc.assert(property, { numRuns: 200 });
  });

  it('takes a log-prob above 0 or of −∞, as rounding and underflow leave them', () => {
    const targets = randomTargets({ positions: 3, entriesMax: 9, width: 50, seed: 3, mass: 1 });
    targets.logprobs[0] = 1e-7;
    targets.logprobs[1] = Number.NEGATIVE_INFINITY;
    targets.logprobs[2] = -1e30;
    const grid = { step: Math.fround(0.003), tau: 0 };
    expect(quantise(targets, grid)).toEqual(plainLevels(targets, grid));
  });

  it('takes an independent log-prob above 0 as a probability of 1', () => {
    const targets = randomTargets({ positions: 1, entriesMax: 1, width: 50, seed: 1, mass: 1 });
    const ones = [0, 1e-7].map((logprob) => {
      const own = { ids: Uint32Array.of(7), logprobs: Float32Array.of(logprob) };
      const offsets = Uint32Array.of(0, 1);
      const grid = { step: Math.fround(0.003), tau: 0 };
      return quantise({ ...targets, kind: 'independent', offsets, ...own }, grid).levels;
    });
    expect(ones).toEqual([Uint16Array.of(65_535), Uint16Array.of(65_535)]);
  });

  it('does so over many runs of entries and positions', () => {
    const next = random(7);
    const count = 70_000;
    const offsets = Uint32Array.from({ length: count + 1 }, (_, t) => t);
    const targets: Targets = {
      kind: 'unbiased',
      count,
      offsets,
      ids: Uint32Array.from({ length: count }, () => next() * 2 ** 32),
      logprobs: Float32Array.from({ length: count }, () => -9 * next()),
      rest: new Float32Array(0),
      labelLogprob: new Float32Array(count),
      logZ: new Float32Array(0),
    };
    const grid = { step: Math.fround(0.01), tau: Math.fround(0.02) };
    for (let i = 0; i < count; i += 3) targets.logprobs[i] = Math.log(grid.tau);
    expect(quantise(targets, grid)).toEqual(plainLevels(targets, grid));
  });
});

describe('frames', () => {
  it('hold the planes of the plain definition, and decode to the same values either way', () => {
    const property = fc.property(
      targetShapes,
      fc.constantFrom('scaled', 'unbiased'),
      fc.constantFrom('zstd', 'lz4'),
      (shape, kind, compression) => {
        const grid = { step: Math.fround(0.004), tau: Math.fround(0.02) };
        const targets = { ...randomTargets(shape), kind };
        const levels = quantise(targets, grid);
        const frame = encodePlanes(levels, { ...grid, compression });
        const width = 0xffffffff;
        const { header, levels: back } = decodePlanes(frame, { width, count: targets.count });
        expect(back).toEqual(levels);
        const block = plainBlock(levels, header);
        const stored = frame.subarray(headerBytes);
        const raw = compressions[compression].decompress(stored, header.rawBytes);
        expect(Buffer.from(raw).equals(block)).toBe(true);
        if (compression === 'lz4' || header.entries < 2048) {
          const whole = compressions[compression].compress(block);
          expect(Buffer.from(stored).equals(whole)).toBe(true);
        }
        const decoded = decodeFrame(frame, { width, count: targets.count });
        expect(decoded).toEqual(dequantise(levels, header));
      },
    );
    fc.assert(property, { numRuns: 150 });
  });
});

describe('positions of a frame', () => {
  const targets = randomTargets({ positions: 30, entriesMax: 9, width: 900, seed: 5, mass: 0.9 });

  it.each(['scaled', 'unbiased'] as const)('are what the whole frame holds there: %s', (kind) => {
    const grid = { step: Math.fround(0.004), tau: Math.fround(0.02) };
    const frame = encodePlanes(quantise({ ...targets, kind }, grid), {
      ...grid,
      compression: 'lz4',
    });
    const whole = decodeFrame(frame, { width: 900 });
    const property = fc.property(fc.array(fc.nat(29), { maxLength: 12 }), (positions) => {
      const part = decodeFrame(frame, { width: 900, positions });
      const { header, levels } = decodePlanes(frame, { width: 900, positions });
      expect(part).toEqual(dequantise(levels, header));
      expect(part.count).toBe(positions.length);
      positions.forEach((t, k) => {
        const own = (of: typeof whole, at: number) => ({
          ids: of.ids.slice(of.offsets[at], of.offsets[at + 1]),
          probs: of.probs.slice(of.offsets[at], of.offsets[at + 1]),
          rest: of.rest[at],
        });
        expect(own(part, k)).toEqual(own(whole, t));
      });
    });
    fc.assert(property);
  });

  it.each([[30], [-1], [1.5], [Number.NaN]])('that it does not have are refused: %d', (t) => {
    const frame = encodePlanes(quantise(targets, { step: 0.01, tau: 0 }), {
      step: 0.01,
      tau: 0,
      compression: 'zstd',
    });
    expect(() => decodeFrame(frame, { width: 900, positions: [0, t] })).toThrowError(
      expect.objectContaining({ code: 'request-invalid' }),
    );
  });
});
