import { describe, expect, it } from 'vitest';
import type { Targets } from '../../src/distribution/targets.ts';
import { type Compression, compressions } from '../../src/encode/compression.ts';
import { checkFrame, headerBytes } from '../../src/encode/frame.ts';
import { quantise, quantiseRest, restMass, steps } from '../../src/encode/levels.ts';
import { decodePlanes, encodePlanes, planes } from '../../src/encode/planes.ts';
import { cellsOf, describeCodec } from '../contracts/codec.ts';
import { expectedAt } from '../support/quantised.ts';
import { randomTargets, targetsOf } from '../support/targets.ts';

for (const compression of ['zstd', 'lz4'] as const) {
  for (const step of [steps.fine, steps.standard, 2e-5]) {
    describeCodec({
      name: `planes (${compression}, step ${step})`,
      open: (options) => planes({ ...options, step, compression }),
      expected: expectedAt(Math.fround(step)),
    });
  }
}

const open = (step: number, compression: Compression = 'zstd') =>
  planes({ kind: 'scaled', step, compression, width: 0xffffffff });

const decoded = (targets: Targets, step: number) => {
  const codec = open(step);
  return codec.decode(cellsOf(codec, targets), targets.count);
};

describe('planes', () => {
  it('stays within half a step of √p where nothing is dropped', () => {
    const targets = randomTargets({
      positions: 40,
      entriesMax: 20,
      width: 400,
      seed: 2,
      mass: 0.95,
    });
    const [{ header, levels }] = cellsOf(open(0.003), targets).map((frame) =>
      decodePlanes(frame, { width: 400 }),
    );
    const wanted = new Map<number, number>();
    for (let t = 0; t < targets.count; t++) {
      for (let i = targets.offsets[t]; i < targets.offsets[t + 1]; i++) {
        wanted.set(t * 400 + targets.ids[i], Math.exp(targets.logprobs[i] / 2));
      }
    }
    let at = 0;
    levels.counts.forEach((count, t) => {
      for (const end = at + count; at < end; at++) {
        const root = wanted.get(t * 400 + levels.ids[at]) ?? Number.NaN;
        expect(Math.abs(levels.levels[at] * header.step - root)).toBeLessThan(0.0015 + 1e-6);
      }
    });
  });

  it('moves entries that round to nothing into the rest, all of them if need be', () => {
    const small = 1e-7;
    const one = decoded(
      targetsOf(
        [
          [
            { id: 1, p: 0.9 },
            { id: 2, p: small },
          ],
        ],
        { rest: [0.05] },
      ),
      0.003,
    );
    expect(Array.from(one.ids)).toEqual([1]);
    expect(one.rest[0]).toBeCloseTo(0.05, 4);
    const none = decoded(targetsOf([[{ id: 2, p: small }]]), 0.003);
    expect(Array.from(none.offsets)).toEqual([0, 0]);
    expect(none.rest[0]).toBe(1);
  });

  it('never stores an entry whose probability would come back as 0', () => {
    const flat = decoded(targetsOf([[{ id: 5, p: 1 / 300_000 }]]), 2e-5);
    expect(Array.from(flat.ids)).toEqual([5]);
    expect(flat.probs[0]).toBeGreaterThan(0);
  });

  it('keeps rest within 2^-12 of its logarithm, down to e^-32', () => {
    for (let r = 0; r <= 65_535; r++) {
      if (quantiseRest(Math.exp(-r / 2048)) !== r) expect(quantiseRest(restMass[r])).toBe(r);
      if (restMass[r] !== Math.fround(Math.exp(-r / 2048))) expect(restMass[r]).toBe(r);
    }
    expect(quantiseRest(0)).toBe(65_535);
    expect(quantiseRest(1.000_001)).toBe(0);
  });

  it.each([
    [1, 255],
    [2, 256],
    [2, 65_535],
    [4, 65_536],
  ])('takes counts of %d byte(s) for %d entries', (countWidth, count) => {
    const levels = {
      kind: 'scaled' as const,
      counts: Uint32Array.of(count, 0),
      ids: Uint32Array.from({ length: count }, (_, id) => id),
      levels: new Uint16Array(count).fill(1),
      rest: Uint16Array.of(2048, 0),
    };
    const frame = encodePlanes(levels, { step: 0.003, tau: 0, compression: 'lz4' });
    const { header, levels: back } = decodePlanes(frame, { width: count });
    expect(header.countWidth).toBe(countWidth);
    expect(back).toEqual(levels);
  });

  it.each([
    [2, 65_535],
    [3, 65_536],
    [3, 2 ** 24 - 1],
    [4, 2 ** 24],
    [4, 2 ** 32 - 1],
  ])('takes %d planes for id %d', (idPlanes, id) => {
    const levels = {
      kind: 'scaled' as const,
      counts: Uint32Array.of(1),
      ids: Uint32Array.of(id),
      levels: Uint16Array.of(65_535),
      rest: Uint16Array.of(1),
    };
    const frame = encodePlanes(levels, { step: 0.003, tau: 0, compression: 'zstd' });
    const { header, levels: back } = decodePlanes(frame, { width: 2 ** 32 });
    expect(header.idPlanes).toBe(idPlanes);
    expect(back).toEqual(levels);
  });

  it('is smaller than uint32 ids and float32 log-probs', () => {
    const targets = randomTargets({
      positions: 200,
      entriesMax: 64,
      width: 32_000,
      seed: 9,
      mass: 0.98,
    });
    for (const compression of ['zstd', 'lz4'] as const) {
      const [frame] = cellsOf(open(steps.fine, compression), targets);
      expect(frame.length).toBeLessThan(targets.ids.length * 8 * 0.65);
    }
  });
});

describe('ZSTD of planes', () => {
  const zstdMagic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
  const blockOf = (positions: number) => {
    const shape = { positions, entriesMax: 64, width: 32_000, seed: 9, mass: 0.98 };
    const levels = quantise(randomTargets(shape), { step: steps.fine, tau: 0 });
    const frame = encodePlanes(levels, { step: steps.fine, tau: 0, compression: 'zstd' });
    const header = checkFrame(frame);
    const block = Buffer.from(frame.subarray(headerBytes));
    return { header, block, raw: compressions.zstd.decompress(block, header.rawBytes) };
  };

  it('is one frame for few entries, and four from 2,048 on', () => {
    const framesOf = (block: Buffer) =>
      block.toString('latin1').split(zstdMagic.toString('latin1'));
    const [few, many] = [blockOf(20), blockOf(200)];
    expect(few.header.entries).toBeLessThan(2048);
    expect(framesOf(few.block)).toHaveLength(1 + 1);
    expect(many.header.entries).toBeGreaterThanOrEqual(2048);
    expect(framesOf(many.block)).toHaveLength(4 + 1);
  });

  it('is smaller than one frame where planes differ', () => {
    const { block, raw } = blockOf(200);
    expect(block.length).toBeLessThan(0.95 * compressions.zstd.compress(raw).length);
  });
});

describe('planes of unbiased targets', () => {
  const [step, tau] = [Math.fround(0.01), Math.fround(0.02)];
  const codec = planes({ kind: 'unbiased', step, tau, compression: 'zstd', width: 1000 });
  const weight = (level: number) => (level * step) ** 2;

  it('gives back weights on the grid, and τ, bit for bit', () => {
    const targets = targetsOf(
      [
        [
          { id: 5, p: weight(91) },
          { id: 999, p: tau },
          { id: 3, p: tau },
          { id: 4, p: weight(101) }, // above 1: weights are no probabilities
        ],
        [],
        [{ id: 0, p: weight(15) }],
      ],
      { kind: 'unbiased' },
    );
    const back = codec.decode(cellsOf(codec, targets), 3);
    expect(back.kind).toBe('unbiased');
    expect(Array.from(back.offsets)).toEqual([0, 4, 4, 5]);
    expect(Array.from(back.ids)).toEqual([3, 4, 5, 999, 0]);
    const expected = [tau, weight(101), weight(91), tau, weight(15)];
    expect(Array.from(back.probs)).toEqual(expected.map(Math.fround));
    expect(back.rest).toHaveLength(0);
  });

  it('names its τ for the manifest', () => {
    expect(codec.parameters).toEqual({ step, tau, compression: 'zstd' });
  });
});
