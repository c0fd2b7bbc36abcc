/** Keeps the K most probable entries: exact, biased by the mass it leaves to `rest`. */
import { scaledSparsifier } from './scaled.ts';
import type { Sparsifier } from './sparsifier.ts';

export function topK({ k }: { readonly k: number }): Sparsifier {
  return scaledSparsifier({
    name: 'top-k',
    entriesMax: k,
    parameters: { k },
    cut: (_, { count }) => count,
  });
}
