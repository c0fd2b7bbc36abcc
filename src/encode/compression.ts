/** ZSTD and LZ4 blocks with bounded output; a lying length is an error, never an allocation. */
import { compressSync, uncompressSync } from 'lz4-napi';
import { exact, zstdCompress, zstdDecompress } from '../formats/zstd.ts';

export type Compression = 'zstd' | 'lz4';

interface Compressor {
  /** Number in a frame's header. */
  readonly code: number;
  /**
   * `parts` are what `raw` consists of, low and high bytes in turn; ZSTD takes each for itself,
   * with statistics of its own.
   */
  compress(raw: Uint8Array, parts?: readonly Uint8Array[]): Uint8Array;
  /** Gives exactly `rawBytes` bytes or throws. */
  decompress(block: Uint8Array, rawBytes: number): Uint8Array;
}

const lz4RatioMax = 255; // a match grows by at most 255 bytes for each byte of its length

export const compressions: Readonly<Record<Compression, Compressor>> = {
  zstd: {
    code: 1,
    // high bytes hold no long strings that repeat: the lowest level makes them as small
    compress: (raw, parts = [raw]) =>
      Buffer.concat(parts.map((part, i) => zstdCompress(part, i % 2 === 0 ? 3 : 1))),
    decompress: zstdDecompress,
  },
  lz4: {
    code: 2,
    // the library puts the length before the block; the frame's header has it already
    compress: (raw) =>
      compressSync(Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength)).subarray(4),
    decompress(block, rawBytes) {
      // the library clears all of the output before it reads a byte of the block
      if (rawBytes > lz4RatioMax * block.length) throw new Error('too short for its raw length');
      const sized = Buffer.allocUnsafe(4 + block.length);
      sized.writeUInt32LE(rawBytes);
      sized.set(block, 4);
      return exact(uncompressSync(sized), rawBytes);
    },
  },
};
