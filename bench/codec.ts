/** Codec `planes`: bytes a position at stated fidelities, and speed on one core beside Parquet. */
import { codecSizes } from './codec-sizes.ts';
import { codecSpeed } from './codec-speed.ts';
import { codecUnbiased } from './codec-unbiased.ts';
import type { Benchmark } from './figure.ts';

export const codec: Benchmark = {
  name: 'codec',
  summary: 'planes: bytes a position at KL ≤ 1e-4 and 1e-3, encoding and decoding on one core',
  async *run(log) {
    yield* codecSizes(log);
    yield* codecUnbiased(log);
    yield* codecSpeed(log);
  },
};
