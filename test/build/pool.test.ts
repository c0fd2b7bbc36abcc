import { closeSync, openSync, truncateSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createPool, type Pool } from '../../src/build/pool.ts';
import { type ReduceTask, reduce } from '../../src/build/reduce.ts';
import { createThreads } from '../../src/capture/threads.ts';
import { bytesOf } from '../../src/formats/layout.ts';
import { random } from '../support/dump.ts';
import { useStore } from '../support/folder.ts';

const place = useStore();

const width = 4096;
const rowsInTask = 512; // 8 MiB: the ninth task goes to a thread

/** Rows in memory that the pool lent, as a source writes them. */
function taskOf(pool: Pick<Pool, 'lend'>, seed: number): ReduceTask {
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
  });

  it('lets signals be heard between chunks that it reduces in this thread', async () => {
    const pool = createPool(createThreads(1));
    for (let seed = 0; seed < 3; seed++) {
      let heard = false;
      setImmediate(() => {
        heard = true;
      });
      await pool.run(taskOf(pool, seed));
      expect(heard).toBe(true);
    }
  });

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
  });

  it('reads rows that lie in a file, in this thread and in others, and names one cut short', async () => {
    const file = place.path('rows');
    const inMemory = taskOf({ lend: (bytes) => new SharedArrayBuffer(bytes) }, 3);
    if (inMemory.rows.form !== 'dense') throw new Error('dense rows are made');
    const { values, ...shape } = inMemory.rows;
    writeFileSync(file, Buffer.concat([Buffer.alloc(40), bytesOf(values)]));
    const descriptor = openSync(file, 'r');
    const task: ReduceTask = {
      ...inMemory,
      rows: { ...shape, form: 'file', file, descriptor, offset: 40 },
    };
    const threads = createThreads(2);
    const pool = createPool(threads);
    try {
      const here = contentOf(reduce(inMemory));
      const there = await Promise.all(Array.from({ length: 12 }, () => pool.run(task)));
      for (const found of there) expect(contentOf(found)).toEqual(here);
      truncateSync(file, 1000);
      for (const run of [() => pool.run(task), async () => reduce(task)]) {
        await expect(run()).rejects.toMatchObject({
          code: 'source-unreadable',
          got: 1000,
          message: expect.stringContaining('rows ends at byte 1000'),
        });
      }
    } finally {
      await threads.close();
      closeSync(descriptor);
    }
  });
});
