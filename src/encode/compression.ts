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
const zstdBlockMax = 128 * 1024;
const zstdWindowMax = 8 * 1024 * 1024;
const slackBytesMax = 8 * 1024 * 1024;
const lz4RatioMax = 255; // a match grows by at most 255 bytes for each byte of its length
const zstdEncoder = new Encoder(zstdLevel);
const zstdDecoder = new Decoder();

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Walks a ZSTD frame and refuses one that would take more memory than `rawBytes` bytes need: the
 * library itself has no limit (12 KB have become 400 MB). One frame, a window of at most 8 MiB, a
 * content size that is true where it is declared, blocks of at most 128 KiB or the window.
 */
export function checkZstd(frame: Uint8Array, rawBytes: number): void {
  const magic = frame[0] | (frame[1] << 8) | (frame[2] << 16) | (frame[3] << 24);
  if (frame.length < 6 || magic !== (0xfd2fb528 | 0)) throw new Error('no ZSTD frame');
  const descriptor = frame[4];
  const singleSegment = (descriptor >> 5) & 1;
  // exponent − 10 above 3 bits of eighths
  const window = singleSegment ? rawBytes : 2 ** (10 + (frame[5] >> 3)) * (1 + (frame[5] & 7) / 8);
  if (!singleSegment && window > zstdWindowMax) throw new Error('its ZSTD window is large');
  const blockMax = Math.min(zstdBlockMax, window);
  const sizeBytes = [singleSegment, 2, 4, 8][descriptor >> 6];
  const dictionary = [0, 1, 2, 4][descriptor & 3];
  let at = 5 + (1 - singleSegment) + dictionary + sizeBytes;
  if (sizeBytes > 0) {
    let size = sizeBytes === 2 ? 256 : 0; // two bytes count from there on
    for (let i = 0; i < sizeBytes; i++) size += frame[at - sizeBytes + i] * 256 ** i;
    if (size !== rawBytes) throw new Error(`its ZSTD frame declares ${size} bytes`);
  }
  let bound = 0;
  for (let last = 0; last === 0; ) {
    if (at + 3 > frame.length) throw new Error('a ZSTD block is cut short');
    const header = frame[at] | (frame[at + 1] << 8) | (frame[at + 2] << 16);
    last = header & 1;
    const type = (header >> 1) & 3;
    const size = header >> 3;
    if (size > blockMax) throw new Error('a ZSTD block is too large');
    bound += type === 2 ? blockMax : size;
    at += 3 + (type === 1 ? 1 : size);
  }
  if (at + ((descriptor >> 2) & 1) * 4 !== frame.length)
    throw new Error('bytes after a ZSTD frame');
  // an encoder may split blocks, each counted at 128 KiB; the slack bounds the allocation
  if (bound > 2 * rawBytes + slackBytesMax) throw new Error('too many ZSTD blocks');
  if (bound < rawBytes) throw new Error('too few ZSTD blocks');
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
      checkZstd(block, rawBytes);
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
