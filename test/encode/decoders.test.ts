/** The compiled decoder and its reference: the same results bit for bit, and the same refusals. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TargetKind } from '../../src/distribution/targets.ts';
import { compressions } from '../../src/encode/compression.ts';
import { headerBytes } from '../../src/encode/frame.ts';
import type { Levels } from '../../src/encode/levels.ts';
import { decodeFrame, encodePlanes } from '../../src/encode/planes.ts';
import { type Block, openBlock, type Reading } from '../../src/encode/planes-block.ts';
import { compiledLevels, compiledTargets, lentTargets } from '../../src/encode/planes-compiled.ts';
import { referenceLevels, referenceTargets } from '../../src/encode/planes-reference.ts';
import { bytesOf } from '../../src/formats/layout.ts';
import { engineName } from '../../src/kernel/wasm.ts';
import { random } from '../support/dump.ts';
import { mutations, sealed } from '../support/frame-mutations.ts';

interface Shape {
  readonly kind: TargetKind;
  readonly counts: readonly number[];
  /** Greatest difference of ids, and greatest level. */
  readonly gap: number;
  readonly top: number;
  readonly seed: number;
}

const shapes: fc.Arbitrary<Shape> = fc.record({
  kind: fc.constantFrom('scaled', 'unbiased', 'independent'),
  counts: fc.array(fc.oneof(fc.nat(70), fc.constantFrom(0, 1, 15, 16, 17, 64, 255, 256, 1000)), {
    maxLength: 12,
  }),
  gap: fc.constantFrom(1, 200, 60_000, 3_000_000, 2 ** 22),
  top: fc.constantFrom(1, 333, 32_768, 65_535),
  seed: fc.nat(),
});

function levelsOf({ kind, counts, gap, top, seed }: Shape): Levels {
  const next = random(seed);
  const upTo = (limit: number) => Math.floor(next() * (limit + 1));
  // what grid.step gives probabilities, and what they leave to 1
  const score = () => (next() < 0.5 ? 1 + upTo(80) : 65_535 - upTo(81));
  const least = kind === 'unbiased' ? 0 : 1;
  const ids = counts.flatMap((count) => {
    let id = upTo(gap) - 1;
    return Array.from({ length: count }, () => {
      id += 1 + upTo(gap - 1);
      return id;
    });
  });
  return {
    kind,
    counts: Uint32Array.from(counts),
    ids: Uint32Array.from(ids),
    levels: Uint16Array.from(ids, () =>
      kind === 'independent' ? score() : least + upTo(top - least),
    ),
    rest: Uint16Array.from(kind === 'scaled' ? counts : [], () => upTo(65_535)),
  };
}

const grid = { step: Math.fround(0.0123), tau: Math.fround(0.02) };

function blockOf(levels: Levels, reading: Reading = { width: 2 ** 32 }): Block {
  return openBlock(encodePlanes(levels, { ...grid, compression: 'lz4' }), reading);
}

/** The same frame around another raw block, read with another V. */
function changed({ frame, header }: Block, raw: Uint8Array, width: number): Block {
  const block = compressions[header.compression].compress(raw);
  return openBlock(sealed(Buffer.concat([frame.subarray(0, headerBytes), block])), { width });
}

function expectEqual(block: Block): void {
  expectSame(compiledTargets(block), referenceTargets(block));
  expectSame(compiledLevels(block), referenceLevels(block));
}

/** As `toEqual`, which takes long for large arrays. */
function expectSame(ours: object | undefined, theirs: object): void {
  const all = Object.entries(ours ?? {}).map(([key, value]) => [value, theirs[key as never]]);
  const same = all.every(([a, b]) => {
    return ArrayBuffer.isView(a) ? Buffer.compare(bytesOf(a), bytesOf(b)) === 0 : a === b;
  });
  if (!same || all.length === 0) expect(ours).toEqual(theirs);
}

/** Either both give the same, or neither anything: the compiled one may leave it to the other. */
function expectAgreement(block: Block): boolean {
  const refusal = (decode: (block: Block) => unknown) => {
    try {
      return decode(block) === undefined ? 'left to the reference' : undefined;
    } catch (error) {
      return (error as Error).message;
    }
  };
  const why = refusal(referenceTargets);
  if (why === undefined) {
    expectEqual(block);
    return true;
  }
  for (const decode of [compiledTargets, compiledLevels]) {
    expect(['left to the reference', why]).toContain(refusal(decode));
  }
  return false;
}

describe('the compiled decoder', () => {
  it('runs here', () => {
    expect(engineName).toBe('wasm');
  });

  it('gives what the reference gives', () => {
    fc.assert(
      fc.property(shapes, (shape) => expectEqual(blockOf(levelsOf(shape)))),
      { numRuns: 300 },
    );
  });

  it('does so at positions asked for, in any order and again', () => {
    const chosen = fc.array(fc.nat(11), { maxLength: 20 });
    const property = fc.property(shapes, chosen, (shape, all) => {
      const positions = all.filter((t) => t < shape.counts.length);
      expectEqual(blockOf(levelsOf(shape), { width: 2 ** 32, positions }));
    });
    fc.assert(property, { numRuns: 200 });
  });

  it('takes ids below V alone', () => {
    const property = fc.property(shapes, fc.constantFrom(-1, 0, 1), (shape, more) => {
      const levels = levelsOf(shape);
      const greatest = levels.ids.reduce((a, b) => Math.max(a, b), 0);
      const width = Math.max(1, greatest + more);
      const taken = levels.ids.length === 0 || width > greatest;
      expect(expectAgreement({ ...blockOf(levels), width })).toBe(taken);
    });
    fc.assert(property, { numRuns: 200 });
  });

  it('refuses what the reference refuses, whatever bytes a block is made of', () => {
    const bytes = fc.array(fc.tuple(fc.nat(), fc.constantFrom(0, 1, 2, 127, 128, 255)), {
      maxLength: 3,
    });
    let refused = 0;
    const property = fc.property(shapes, bytes, (shape, changes) => {
      const block = blockOf(levelsOf(shape));
      const raw = Uint8Array.from(block.raw());
      for (const [at, value] of changes) if (raw.length > 0) raw[at % raw.length] = value;
      if (!expectAgreement(changed(block, raw, 2 ** 24))) refused++;
    });
    fc.assert(property, { numRuns: 600 });
    expect(refused).toBeGreaterThan(100);
  });

  it('refuses the mutated frames that the reference refuses', () => {
    const ends = { true: 0, false: 0 };
    for (const { frame, width } of mutations(6000, 3)) {
      let block: Block;
      try {
        block = openBlock(frame, { width });
      } catch {
        continue;
      }
      ends[`${expectAgreement(block)}`]++;
    }
    expect(Math.min(ends.true, ends.false)).toBeGreaterThan(300);
  });

  it('decompresses LZ4 blocks of every kind of match and length itself', () => {
    const bytes = fc.array(
      fc.record({
        what: fc.uint8Array({ minLength: 1, maxLength: 40 }),
        times: fc.oneof(fc.integer({ min: 1, max: 30 }), fc.constantFrom(270, 600)),
      }),
      { maxLength: 12 },
    );
    const property = fc.property(bytes, (runs) => {
      const values = runs.flatMap(({ what, times }) =>
        Array.from({ length: times }, () => [...what]).flat(),
      );
      const levels = Uint16Array.from(values, (value) => 1 + value);
      const ids = Uint32Array.from(values, (_, i) => i);
      const counts = Uint32Array.of(values.length);
      const block = blockOf({ kind: 'unbiased', counts, ids, levels, rest: new Uint16Array(0) });
      expectEqual(block);
    });
    fc.assert(property, { numRuns: 300 });
  });

  it('ends where a block gives more than it is to give', () => {
    const { frame } = blockOf(levelsOf({ kind: 'scaled', counts: [70], gap: 9, top: 9, seed: 1 }));
    const first = [0xf0, 5, ...Array<number>(20).fill(1), 16, 0]; // 20 literals, 4 of 16 before
    const sequence = [0xee, ...Array<number>(14).fill(1), 16, 0]; // 14 and 18
    const many = Buffer.alloc(400_000 * sequence.length, Buffer.from(sequence));
    const far = Buffer.concat([Buffer.from(first), many]);
    const block = sealed(Buffer.concat([frame.subarray(0, headerBytes), far]));
    const unused = 2; // an instance without memory to spare
    expect(lentTargets(openBlock(block, { width: 2 ** 32 }), unused)).toBeUndefined();
  });

  it.each([
    ['four planes', Uint32Array.of(9, 8), 0, false], // a difference of 2^32 − 1
    [
      'three planes, to 2^32 − 256',
      Uint32Array.from({ length: 256 }, (_, i) => i * 2 ** 20),
      3,
      true,
    ],
    ['three planes', Uint32Array.from({ length: 257 }, (_, i) => i * 2 ** 20), 3, false],
  ])('refuses ids that wrap around 32 bits: %s', (_, ids, planesOfOnes, taken) => {
    const block = blockOf({
      kind: 'unbiased',
      counts: Uint32Array.of(ids.length),
      ids,
      levels: new Uint16Array(ids.length),
      rest: new Uint16Array(0),
    });
    const raw = Buffer.from(block.raw());
    raw.fill(255, block.header.countWidth, block.header.countWidth + planesOfOnes * ids.length);
    expect(expectAgreement(changed(block, raw, 2 ** 32))).toBe(taken);
  });

  it('leaves results alone that it gave before, however its memory grows', () => {
    const small = blockOf(levelsOf({ kind: 'scaled', counts: [3, 70], gap: 9, top: 9, seed: 1 }));
    const first = compiledTargets(small);
    const counts = Array.from({ length: 100 }, () => 600);
    expectEqual(blockOf(levelsOf({ kind: 'scaled', counts, gap: 60, top: 999, seed: 2 })));
    expect(first).toEqual(referenceTargets(small));
  });

  it('lends the same, in one slot until its next call, however another is used', () => {
    fc.assert(
      fc.property(shapes, shapes, (first, second) => {
        const [a, b] = [blockOf(levelsOf(first)), blockOf(levelsOf(second))];
        const lent = lentTargets(a, 0);
        expect(lentTargets(b, 1)).toEqual(compiledTargets(b));
        expect(lent).toEqual(compiledTargets(a));
        expect(lentTargets(b, 0)).toEqual(compiledTargets(b));
      }),
    );
  });

  it('leaves to the reference what takes more memory than it keeps', () => {
    const count = 60_000;
    const counts = new Uint32Array(100).fill(count);
    const levels: Levels = {
      kind: 'unbiased',
      counts,
      ids: Uint32Array.from({ length: 100 * count }, (_, i) => i % count),
      levels: new Uint16Array(100 * count).fill(7),
      rest: new Uint16Array(0),
    };
    const frame = encodePlanes(levels, { ...grid, compression: 'lz4' });
    expect(compiledTargets(openBlock(frame, { width: count }))).toBeUndefined();
    const { ids, probs } = decodeFrame(frame, { width: count });
    expect([ids.length, ids[count - 1], probs.at(-1)]).toEqual([
      100 * count,
      count - 1,
      Math.fround((7 * grid.step) ** 2),
    ]);
  });
});
