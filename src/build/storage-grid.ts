/** The settings that `plan-storage` compares: sparsifiers by steps. */
import { steps } from '../encode/levels.ts';
import type { SparsifierOptions } from '../sparsify/table.ts';

export const stepsTried: readonly number[] = [steps.fine, steps.standard, 0.03];

export const scaledTried: readonly SparsifierOptions[] = [
  ...[16, 32, 64, 128].map((k) => ({ type: 'top-k' as const, k })),
  ...[0.9, 0.98].map((p) => ({ type: 'top-p' as const, p, floor: 1, cap: 128 })),
];

/** Without a step: their weights are rounded to each of the steps later. */
export const unbiasedTried: readonly Extract<SparsifierOptions, { type: 'threshold' }>[] = [
  0.1, 0.05, 0.02, 0.01, 0.005,
].map((tau) => ({ type: 'threshold', tau }));
