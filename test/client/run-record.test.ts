import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { compareRuns, digestOfSteps, readRun } from '../../src/client/run-record.ts';

const plan = 'a'.repeat(64);
const id = (n: number) => n.toString(16).padStart(32, '0');
const line = (step: number, rank: number, world: number, ids: number[], more = {}) =>
  JSON.stringify({ plan, epoch: 0, step, rank, world, ids: ids.map(id), ...more });
const run = (...files: string[][]) =>
  readRun(files.map((lines, i) => ({ name: `rank-${i}.jsonl`, text: `${lines.join('\n')}\n` })));
const idsOf = (steps: ReturnType<typeof readRun>['steps']) =>
  steps.map(({ rows }) => rows.map((row) => Number.parseInt(row.toString('hex').slice(0, 32), 16)));

describe('the record of a run', () => {
  it('joins the ranks of a step, whatever the order of the files', () => {
    const files = [
      [line(0, 0, 2, [1, 2]), line(1, 0, 2, [5])],
      [line(0, 1, 2, [3, 4]), line(1, 1, 2, [6])],
    ];
    for (const order of [files, files.toReversed()]) {
      const { steps, incomplete, repeated } = run(...order);
      expect(idsOf(steps)).toEqual([
        [1, 2, 3, 4],
        [5, 6],
      ]);
      expect({ incomplete, repeated }).toEqual({ incomplete: 0, repeated: 0 });
    }
  });

  it('counts a step that was received again as it was received last, also by another world', () => {
    const files = [
      [line(0, 0, 2, [1]), line(1, 0, 2, [3]), line(1, 0, 3, [3]), line(2, 0, 3, [6])],
      [line(0, 1, 2, [2]), line(1, 1, 2, [4, 5]), line(1, 1, 3, [4]), line(2, 1, 3, [7])],
      [line(1, 2, 3, [5]), line(2, 2, 3, [8])],
    ];
    for (const order of [files, files.toReversed()]) {
      const { steps, incomplete } = run(...order);
      expect(idsOf(steps)).toEqual([
        [1, 2],
        [3, 4, 5],
        [6, 7, 8],
      ]);
      expect(incomplete).toBe(0);
    }
    expect(run([line(0, 0, 1, [1]), line(0, 0, 1, [2])])).toMatchObject({ repeated: 1 });
    expect(idsOf(run([line(0, 0, 1, [1]), line(0, 0, 1, [2])]).steps)).toEqual([[2]]);
  });

  it('leaves out steps that some rank lacks, and replicas', () => {
    const { steps, incomplete } = run([line(0, 0, 2, [1]), line(1, 0, 2, [2]), line(1, 1, 2, [3])]);
    expect(idsOf(steps)).toEqual([[2, 3]]);
    expect(incomplete).toBe(1);
    const replicas = [0, 1, 2, 3].map((rank) => line(0, rank, 4, [rank >> 1], { replicate: 2 }));
    expect(idsOf(run(replicas).steps)).toEqual([[0, 1]]);
  });

  it('has the digest of the ids, and of the parts in packs', () => {
    const { steps } = run([line(0, 0, 1, [7], { parts: [[3, 5]] })]);
    const part = Buffer.from([3, 0, 0, 0, 5, 0, 0, 0]);
    const bytes = Buffer.concat([Buffer.from(id(7), 'hex'), part]);
    expect(digestOfSteps(steps)).toBe(createHash('sha256').update(bytes).digest('hex'));
  });

  it('finds the first difference of two runs', () => {
    const a = run([line(0, 0, 1, [1, 2]), line(1, 0, 1, [3, 4])]);
    const b = run(
      [line(0, 0, 2, [1]), line(1, 0, 2, [3])],
      [line(0, 1, 2, [2]), line(1, 1, 2, [4])],
    );
    expect(compareRuns(a, b)).toEqual({ compared: 2, missing: [0, 0], difference: null });
    const c = run([line(0, 0, 1, [1, 2]), line(1, 0, 1, [3, 5]), line(2, 0, 1, [6])]);
    const difference = { epoch: 0, step: 1, row: 1 };
    expect(compareRuns(a, c)).toEqual({ compared: 2, missing: [0, 1], difference });
    const short = run([line(0, 0, 1, [1])]);
    expect(compareRuns(a, short).difference).toEqual({ epoch: 0, step: 0, row: 1 });
  });

  it.each(['{"plan":', '{}', 'null', line(0, 0, 1, [1]).replace('"rank":0', '"rank":-1')])(
    'refuses the line %s',
    (text) => {
      expect(() => run([text])).toThrowError(
        expect.objectContaining({ code: 'source-unreadable' }),
      );
    },
  );
});
