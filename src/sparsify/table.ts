/** The sparsifiers by name. */
import { independent } from './independent.ts';
import type { Sparsifier } from './sparsifier.ts';
import { type ThresholdOptions, threshold } from './threshold.ts';
import { topK } from './top-k.ts';
import { type TopPOptions, topP } from './top-p.ts';

export type SparsifierOptions =
  | { readonly type: 'top-k' | 'independent'; readonly k: number }
  | ({ readonly type: 'top-p' } & TopPOptions)
  | ({ readonly type: 'threshold' } & ThresholdOptions);

export const sparsifiers = {
  'top-k': topK,
  'top-p': topP,
  threshold,
  independent,
} as const satisfies Record<SparsifierOptions['type'], (options: never) => Sparsifier>;

export function createSparsifier({ type, ...options }: SparsifierOptions): Sparsifier {
  return sparsifiers[type](options as never);
}
