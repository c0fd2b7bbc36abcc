/** The whole pipe: bytes a position, time by stage, memory. */
import type { Benchmark } from './figure.ts';
import { memory } from './pipe-memory.ts';
import { quickstart } from './pipe-quickstart.ts';
import { sizes } from './pipe-sizes.ts';

export const pipe: Benchmark = {
  name: 'pipe',
  summary: 'bytes a position, quickstart by stage, memory',
  async *run(log) {
    yield* sizes(log);
    yield* quickstart(log);
    yield* memory(log);
  },
};
