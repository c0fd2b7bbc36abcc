import { describe, expect, it } from 'vitest';
import type { TargetSet } from '../../schemas/manifest.ts';
import { scoreMax, steps } from '../../src/encode/levels.ts';
import { plain, plainColumns, readPlain } from '../../src/encode/plain.ts';
import { decodePlanes, planes } from '../../src/encode/planes.ts';
import { levelsOf } from '../../src/encode/stored-levels.ts';
import { bytesOf } from '../../src/formats/layout.ts';
import { cellsOf, damagedFrame, describeCodec } from '../contracts/codec.ts';
import { expectedAt } from '../support/quantised.ts';
import { randomTargets, targetsOf } from '../support/targets.ts';

for (const step of [steps.fine, steps.standard, 2e-5]) {
  describeCodec({
    name: `plain (step ${step})`,
    open: (options) => plain({ ...options, step }),
    expected: expectedAt(Math.fround(step)),
  });
}

describe('plain', () => {
  const options = { kind: 'scaled' as const, width: 100, count: 2 };
  const cells = [
    bytesOf(Uint32Array.of(2, 1)),
    bytesOf(Uint32Array.of(3, 7, 5)),
    bytesOf(Uint16Array.of(9, 1, 4)),
    bytesOf(Uint16Array.of(1, 2)),
  ];

  it('holds the integers of a frame', () => {
    const shape = { positions: 40, entriesMax: 30, width: 5000, seed: 3, mass: 0.9 };
    const targets = randomTargets(shape);
    const common = { kind: 'scaled' as const, step: 0.003, width: 5000 };
    const [frame] = cellsOf(planes({ ...common, compression: 'zstd' }), targets);
    const { levels } = decodePlanes(frame, { width: 5000 });
    const own = cellsOf(plain(common), targets);
    expect(readPlain(own, { kind: 'scaled', width: 5000, count: 40 })).toEqual(levels);
  });

  it.each([
    ['ids that do not ascend within a position', 1, Uint32Array.of(7, 3, 5)],
    ['an id twice in a position', 1, Uint32Array.of(3, 3, 5)],
    ['counts that do not add up', 0, Uint32Array.of(2, 2)],
    ['counts whose sum leaves 32 bits', 0, Uint32Array.of(0xffffffff, 4)],
    ['a level of 0', 2, Uint16Array.of(9, 0, 4)],
  ])('refuses %s', (_, cell, values) => {
    expect(() => readPlain(cells, options)).not.toThrow();
    expect(() => readPlain(cells.with(cell, bytesOf(values)), options)).toThrowError(damagedFrame);
  });
});

describe('plain of unbiased targets', () => {
  const [step, tau] = [Math.fround(0.01), Math.fround(0.02)];
  const codec = plain({ kind: 'unbiased', step, tau, width: 1000 });

  it('gives back weights on the grid, and τ, bit for bit, without a rest', () => {
    const p = (91 * step) ** 2;
    const entries = [
      { id: 5, p },
      { id: 3, p: tau },
    ];
    const targets = targetsOf([entries, [], [{ id: 0, p: tau }]], { kind: 'unbiased' });
    const cells = cellsOf(codec, targets);
    expect(cells).toHaveLength(3);
    const back = codec.decode(cells, 3);
    expect(Array.from(back.ids)).toEqual([3, 5, 0]);
    expect(Array.from(back.probs)).toEqual([tau, Math.fround(p), tau]);
    expect(back.rest).toHaveLength(0);
  });

  it('names step and τ for the manifest', () => {
    expect(codec.parameters).toEqual({ step, tau });
    expect(Object.keys(plainColumns('unbiased'))).toEqual(['counts', 'ids', 'levels']);
  });
});

describe('plain of scores that stand for themselves', () => {
  const step = Math.fround(0.01);
  const set = {
    name: 'objects',
    kind: 'independent',
    codec: { name: 'plain', parameters: { step } },
  } as unknown as TargetSet;

  it('has no levels above those of a probability, whoever reads it', () => {
    const codec = plain({ kind: 'independent', step, width: 10 });
    const cells = cellsOf(codec, targetsOf([[{ id: 2, p: 0.2 }]], { kind: 'independent' }));
    const shape = { width: 10, count: 1 };
    const most = scoreMax(step);
    const at = (level: number) => cells.with(2, bytesOf(Uint16Array.of(level)));
    expect(levelsOf(set, at(most), shape).levels).toEqual(Uint16Array.of(most));
    for (const above of [most + 1, 65_534 - most]) {
      expect(() => codec.decode(at(above), 1)).toThrowError(damagedFrame);
      expect(() => levelsOf(set, at(above), shape)).toThrowError(damagedFrame);
    }
  });
});
