/** ZSTD and LZ4 blocks with bounded output; a lying length is an error, never an allocation. */
import { Decoder, Encoder } from '@toondepauw/node-zstd';
import { compressSync, uncompressSync } from 'lz4-napi';

export type Compression = 'zstd' | 'lz4';

interface Compressor {
  /** Number in a frame's header. */
  readonly code: number;
  compress(raw: Uint8Array): Uint8Array;
  /** Gives exactly `rawBytes` bytes or throws. */
  decompress(block: Uint8Array, rawBytes: number): Uint8Array;
}

const zstdLevel = 3;
const slackBytesMax = 8 * 1024 * 1024;
const lz4RatioMax = 255; // a match grows by at most 255 bytes for each byte of its length
const zstdEncoder = new Encoder(zstdLevel);
const zstdDecoder = new Decoder();

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Most bytes that a ZSTD frame can give: the sum over its blocks of 128 KiB, or of what a raw or
 * run-length block declares. The library itself has no limit (12 KB have become 400 MB).
 */
export function zstdBound(frame: Uint8Array): number {
  const magic = frame[0] | (frame[1] << 8) | (frame[2] << 16) | (frame[3] << 24);
  if (frame.length < 6 || magic !== (0xfd2fb528 | 0)) throw new Error('no ZSTD frame');
  const descriptor = frame[4];
  const singleSegment = (descriptor >> 5) & 1;
  const contentSize = [singleSegment, 2, 4, 8][descriptor >> 6];
  const dictionary = [0, 1, 2, 4][descriptor & 3];
  let at = 5 + (singleSegment ? 0 : 1) + dictionary + contentSize;
  let bound = 0;
  for (let last = 0; last === 0; ) {
    if (at + 3 > frame.length) throw new Error('a ZSTD block is cut short');
    const header = frame[at] | (frame[at + 1] << 8) | (frame[at + 2] << 16);
    last = header & 1;
    const type = (header >> 1) & 3;
    const size = header >> 3;
    bound += type === 2 ? 128 * 1024 : size;
    at += 3 + (type === 1 ? 1 : size);
  }
  if (at + ((descriptor >> 2) & 1) * 4 !== frame.length)
    throw new Error('bytes after a ZSTD frame');
  return bound;
}

function exact(raw: Uint8Array, rawBytes: number): Uint8Array {
  if (raw.length !== rawBytes) throw new Error(`${raw.length} bytes came out, not ${rawBytes}`);
  return raw;
}

export const compressions: Readonly<Record<Compression, Compressor>> = {
  zstd: {
    code: 1,
    compress: (raw) => zstdEncoder.encodeSync(bufferOf(raw)),
    decompress(block, rawBytes) {
      // an encoder may split blocks, each counted at 128 KiB; the slack bounds the allocation
      if (zstdBound(block) > 2 * rawBytes + slackBytesMax) throw new Error('too many ZSTD blocks');
      return exact(zstdDecoder.decodeSync(bufferOf(block)), rawBytes);
    },
  },
  lz4: {
    code: 2,
    // the library puts the length before the block; the frame's header has it already
    compress: (raw) => compressSync(bufferOf(raw)).subarray(4),
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
