/** Blocks of frames between lz4-napi, which we use, and lz4 0.6.5, another implementation. */
import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compressions } from '../../src/encode/compression.ts';

interface Block {
  compressBound(bytes: number): number;
  compress(raw: Buffer, into: Buffer): number;
  uncompress(block: Buffer, into: Buffer): number;
}

// its functions in JavaScript: the native ones would have to be compiled at installation
const block = createRequire(import.meta.url)('lz4/lib/binding.js') as Block;

/** Bytes as the planes of a frame are: some that repeat, some that do not. */
const planes = fc
  .tuple(fc.uint8Array({ minLength: 1, maxLength: 3000 }), fc.integer({ min: 1, max: 60 }))
  .map(([bytes, times]) => Buffer.concat(Array(times).fill(Buffer.from(bytes))));

describe('LZ4 blocks', () => {
  it('that lz4 wrote are read', () => {
    fc.assert(
      fc.property(planes, (raw) => {
        const into = Buffer.alloc(block.compressBound(raw.length));
        const length = block.compress(raw, into);
        if (length === 0) return; // it gives up on what does not shrink
        const read = compressions.lz4.decompress(into.subarray(0, length), raw.length);
        expect(raw.equals(read)).toBe(true);
      }),
    );
  });

  it('that we write are read by lz4', () => {
    fc.assert(
      fc.property(planes, (raw) => {
        const into = Buffer.alloc(raw.length);
        const written = Buffer.from(compressions.lz4.compress(raw));
        expect(block.uncompress(written, into)).toBe(raw.length);
        expect(into.equals(raw)).toBe(true);
      }),
    );
  });
});
