/** What every codec must do: one suite, run by each codec's own test. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DecodedTargets, Targets } from '../../src/distribution/targets.ts';
import type { Codec, CodecOptions } from '../../src/encode/codec.ts';
import { bytesOf } from '../../src/formats/layout.ts';
import { randomTargets, targetShapes, targetsOf } from '../support/targets.ts';

export type Expected = Pick<DecodedTargets, 'offsets' | 'ids' | 'probs' | 'rest'>;

export interface CodecCase {
  readonly name: string;
  open(options: CodecOptions): Codec;
  /** What must come back, by the formulas of docs/format.md, without the codec's own code. */
  expected(targets: Targets): Expected;
}

/** Cells as a reader hands them over: bytes at any alignment, inside a larger buffer. */
export function cellsOf(codec: Codec, targets: Targets): Uint8Array[] {
  return codec.encode(targets).map((cell) => {
    const shifted = new Uint8Array(cell.byteLength + 8);
    shifted.set(bytesOf(cell), 3);
    return shifted.subarray(3, 3 + cell.byteLength);
  });
}

/** Bits of floats, so that equal means equal. */
const bitsOf = (floats: Float32Array) => Array.from(new Uint32Array(floats.slice().buffer));

export function expectSame(decoded: DecodedTargets, expected: Expected): void {
  expect(Array.from(decoded.offsets)).toEqual(Array.from(expected.offsets));
  expect(Array.from(decoded.ids)).toEqual(Array.from(expected.ids));
  expect(bitsOf(decoded.probs)).toEqual(bitsOf(expected.probs));
  expect(bitsOf(decoded.rest)).toEqual(bitsOf(expected.rest));
}

export const damagedFrame = expect.objectContaining({ code: 'frame-damaged' });

export function describeCodec({ name, open, expected }: CodecCase): void {
  const roundTrip = (targets: Targets, width: number) => {
    const codec = open({ kind: targets.kind, width });
    const decoded = codec.decode(cellsOf(codec, targets), targets.count);
    expect(decoded).toMatchObject({ kind: targets.kind, count: targets.count });
    expectSame(decoded, expected(targets));
    return decoded;
  };

  describe(`${name} as a codec`, () => {
    it('gives back ids, probabilities and rest of random targets, bit for bit', () => {
      fc.assert(
        fc.property(targetShapes, (shape) => {
          roundTrip(randomTargets(shape), shape.width);
        }),
        { numRuns: 150 },
      );
    });

    it('has a cell for each of its columns', () => {
      const codec = open({ kind: 'scaled', width: 10 });
      const cells = codec.encode(targetsOf([[{ id: 1, p: 0.5 }]]));
      expect(cells).toHaveLength(Object.keys(codec.columns).length);
      expect(codec.name).toBe(name.split(' ')[0]);
    });

    it.each([
      ['a sample without entries', [[], [], []]],
      ['one position without entries', [[]]],
      ['one entry', [[{ id: 7, p: 0.25 }]]],
      [
        'the first and the last id',
        [
          [
            { id: 0, p: 0.5 },
            { id: 999, p: 0.3 },
          ],
          [{ id: 999, p: 1 }],
        ],
      ],
      [
        'ties',
        [
          [
            { id: 4, p: 0.25 },
            { id: 2, p: 0.25 },
            { id: 3, p: 0.25 },
          ],
        ],
      ],
    ])('reads %s', (_, positions) => {
      roundTrip(targetsOf(positions), 1000);
    });

    it('reads a position that keeps the whole label space, with no rest', () => {
      const all = Array.from({ length: 40 }, (_, id) => ({ id, p: 1 / 40 }));
      roundTrip(targetsOf([all, all], { rest: [0, 0] }), 40);
    });

    it.each([255, 256, 65_535, 65_536])('reads a position of %d entries', (count) => {
      const entries = Array.from({ length: count }, (_, id) => ({ id: 2 * id, p: 0.9 / count }));
      roundTrip(targetsOf([[], entries, [{ id: 3, p: 0.5 }]]), 200_000);
    });

    it.each([0xffff, 0x1_0000, 0xff_ffff, 0x100_0000, 0xffff_fffe])('reads id %d', (id) => {
      roundTrip(
        targetsOf([
          [
            { id, p: 0.5 },
            { id: 1, p: 0.25 },
          ],
          [{ id, p: 0.1 }],
        ]),
        0xffffffff,
      );
    });

    it('gives the same bytes each time', () => {
      const targets = randomTargets({
        positions: 50,
        entriesMax: 64,
        width: 5000,
        seed: 1,
        mass: 1,
      });
      const [a, b] = [0, 1].map(() => {
        return cellsOf(open({ kind: 'scaled', width: 5000 }), targets).map((cell) => [...cell]);
      });
      expect(a).toEqual(b);
    });

    it('refuses another number of positions than the sample has', () => {
      const codec = open({ kind: 'scaled', width: 10 });
      const cells = cellsOf(codec, targetsOf([[{ id: 1, p: 0.5 }], []]));
      for (const count of [0, 1, 3]) {
        expect(() => codec.decode(cells, count)).toThrowError(damagedFrame);
      }
    });

    it('refuses ids outside the label space', () => {
      const targets = targetsOf([[{ id: 9, p: 0.5 }]]);
      const codec = open({ kind: 'scaled', width: 9 });
      expect(() => codec.decode(cellsOf(codec, targets), 1)).toThrowError(damagedFrame);
    });

    it('refuses cells cut short at any byte, and longer ones', () => {
      const codec = open({ kind: 'scaled', width: 1000 });
      const targets = randomTargets({
        positions: 4,
        entriesMax: 5,
        width: 1000,
        seed: 4,
        mass: 0.9,
      });
      const cells = cellsOf(codec, targets);
      cells.forEach((cell, i) => {
        const shorter = Array.from({ length: cell.length }, (_, n) => cell.subarray(0, n));
        for (const other of [...shorter, Buffer.concat([cell, Buffer.alloc(1)])]) {
          const damaged = cells.with(i, other);
          expect(() => codec.decode(damaged, targets.count)).toThrowError(damagedFrame);
        }
      });
    });
  });
}
