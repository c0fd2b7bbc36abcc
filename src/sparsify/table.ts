/** The sparsifiers by name. */
import type { Sparsifier } from './sparsifier.ts';
import { topK } from './top-k.ts';

export const sparsifiers = {
  'top-k': (options: { k: number }) => topK(options),
} as const satisfies Record<string, (options: never) => Sparsifier>;

export function createSparsifier(options: { type: 'top-k'; k: number }): Sparsifier {
  return sparsifiers[options.type](options);
}
