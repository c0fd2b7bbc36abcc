import { describe, expect, it } from 'vitest';
import { createPool } from '../../src/build/pool.ts';
import { type ReduceTask, reduce } from '../../src/build/reduce.ts';
import { createThreads } from '../../src/capture/threads.ts';
import { random } from '../support/dump.ts';

const width = 4096;
const rowsInTask = 512; // 8 MiB: the ninth task goes to a thread

/** Rows in memory that the pool lent, as a source writes them. */
function taskOf(pool: ReturnType<typeof createPool>, seed: number): ReduceTask {
  const values = new Float32Array(pool.lend(rowsInTask * width * 4), 0, rowsInTask * width);
  const next = random(seed);
  for (let i = 0; i < values.length; i++) values[i] = -3 * Math.log(next() + 1e-6);
  return {
    sparsifier: { type: 'threshold', tau: 0.05, step: 0.01 },
    rows: { form: 'dense', count: rowsInTask, width, type: 'f32', values },
    context: {
      labels: new Int32Array(rowsInTask).fill(5),
      temperatures: [2],
      sampleId: Uint8Array.from({ length: 16 }, (_, i) => seed + i),
      position: 512 * seed,
    },
    wanted: [3, 500],
    entries: 100,
  };
}

const contentOf = ({ targets, exact }: ReturnType<typeof reduce>) => ({ targets, exact });

describe('a pool of threads', () => {
  it('gives what this thread gives, and uses its memory again', async () => {
    const threads = createThreads(2);
    const pool = createPool(threads);
    const memories = new Set<unknown>();
    try {
      for (let seed = 0; seed < 14; seed += 2) {
        const tasks = [taskOf(pool, seed), taskOf(pool, seed + 1)];
        const here = tasks.map((task) => contentOf(reduce(task)));
        for (const { rows } of tasks) if (rows.form === 'dense') memories.add(rows.values.buffer);
        const there = await Promise.all(tasks.map((task) => pool.run(task)));
        expect(there.map(contentOf)).toEqual(here);
      }
      expect(memories.size).toBe(2);
    } finally {
      await threads.close();
    }
  }, 60_000);

  it('passes errors on with their code, from this thread and from others', async () => {
    const threads = createThreads(2);
    const pool = createPool(threads);
    try {
      for (let seed = 0; seed < 10; seed++) {
        const task = taskOf(pool, seed);
        if (task.rows.form === 'dense') task.rows.values[7] = Number.NaN;
        await expect(pool.run(task)).rejects.toMatchObject({
          code: 'row-invalid',
          got: 'NaN',
          message: expect.stringContaining('id 7'),
        });
      }
    } finally {
      await threads.close();
    }
  }, 60_000);
});
