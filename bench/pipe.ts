/** The whole pipe: bytes a position, time by stage, memory, and a batch's cost beside FastAPI. */
import type { Benchmark } from './figure.ts';
import { memory } from './pipe-memory.ts';
import { quickstart } from './pipe-quickstart.ts';
import { serving } from './pipe-serving.ts';
import { sizes } from './pipe-sizes.ts';

export const pipe: Benchmark = {
  name: 'pipe',
  summary: 'bytes a position, quickstart by stage, memory, batches beside FastAPI + pyarrow',
  async *run(log) {
    yield* sizes(log);
    yield* quickstart(log);
    yield* memory(log);
    yield* serving(log);
  },
};
