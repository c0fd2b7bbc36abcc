/** Where each scored sequence lies in its log: digests to offsets, in little memory. */
import { DigestTable } from './digest-table.ts';

export interface ScoreIndex {
  readonly size: number;
  /** Of another sequence with the same 64 bits, too: compare the tokens. */
  get(key: string): number | undefined;
  set(key: string, offset: number): void;
}

/**
 * Takes 21–43 bytes a sequence, and 64 MiB at most: that is 3,145,728 of them. Later ones are not
 * taken up, so that a build that is resumed asks for them again. `key` is that of `sequenceKey`;
 * 64 bits of it are kept.
 */
export function createScoreIndex(bytesMax = 64 * 1024 * 1024): ScoreIndex {
  const table = new DigestTable({ keyWords: 2, bytesMax });
  const digestOf = (key: string) => Buffer.from(key.slice(0, 16), 'hex');
  return {
    get size() {
      return table.size;
    },
    get: (key) => table.get(digestOf(key)),
    set(key, offset) {
      table.set(digestOf(key), offset);
    },
  };
}
