/** One head of a teacher of images, seen as a source of its own. */
import type { Head, Source } from './source.ts';

/** The heads of a source; of a text's teacher the one that it is. */
export function headsOf({ vision }: Source): readonly (Head | undefined)[] {
  return vision?.heads ?? [undefined];
}

/** The rows of head number `index` alone. */
export function headOf(source: Source, index: number): Source {
  const head = source.vision?.heads[index];
  if (head === undefined) return source;
  return {
    ...source,
    identity: { ...source.identity, vocabulary: head.labelSpace.size },
    samples: undefined, // they and unread chunks would be those of all heads
    unread: undefined,
    async *chunks(from, lend) {
      for await (const chunk of source.chunks(from, lend)) {
        if ((chunk.head ?? 0) === index) yield { ...chunk, head: 0 };
      }
    },
  };
}
