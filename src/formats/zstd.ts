/** ZSTD with bounded output: the library has no limit of its own (12 KB have become 400 MB). */
import { Decoder, Encoder } from '@toondepauw/node-zstd';
import { freeEarly, keepFreed } from './off-heap.ts';

type Level = 1 | 3 | 6;

const blockBytesMax = 128 * 1024;
const windowMax = 8 * 1024 * 1024;
const slackBytesMax = 8 * 1024 * 1024;
const encoders: Readonly<Record<Level, Encoder>> = {
  1: new Encoder(1),
  3: new Encoder(3),
  6: new Encoder(6),
};
const decoder = new Decoder();

export function zstdCompress(raw: Uint8Array, level: Level = 3): Uint8Array {
  return encoders[level].encodeSync(bufferOf(raw));
}

/** Gives exactly `rawBytes` bytes or throws, before anything much larger is allocated. */
export function zstdDecompress(block: Uint8Array, rawBytes: number): Uint8Array {
  checkZstd(block, rawBytes);
  keepFreed();
  const raw = decoder.decodeSync(bufferOf(block));
  freeEarly();
  return exact(raw, rawBytes);
}

/** The same for frames that declare their size, as those within Arrow bodies do. */
export function zstdDecompressSized(frame: Uint8Array, rawBytesMax: number): Uint8Array {
  const { size } = readHeader(frame);
  if (size === undefined || size > rawBytesMax) {
    throw new Error(`a ZSTD frame of ${size ?? 'unknown'} bytes, expected ${rawBytesMax} at most`);
  }
  return zstdDecompress(frame, size);
}

export function exact(raw: Uint8Array, rawBytes: number): Uint8Array {
  if (raw.length !== rawBytes) throw new Error(`${raw.length} bytes came out, not ${rawBytes}`);
  return raw;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Walks ZSTD frames, one behind the other, and refuses those that would take more memory than
 * `rawBytes` bytes need: the library itself has no limit (12 KB have become 400 MB). At least one
 * frame, windows of at most 8 MiB, blocks of at most 128 KiB or the window. Only one that is alone
 * may declare its size, which must be true: libraries do not prove those of others.
 */
export function checkZstd(frames: Uint8Array, rawBytes: number): void {
  let bound = 0;
  let count = 0;
  let declared: number | undefined;
  let at = 0;
  do {
    const { windowBytes, size, blocks, checksum } = readHeader(frames.subarray(at));
    if ((windowBytes ?? 0) > windowMax) throw new Error('its ZSTD window is large');
    count++;
    declared = size ?? declared;
    at += blocks;
    const blockMax = Math.min(blockBytesMax, windowBytes ?? size!);
    for (let last = 0; last === 0; ) {
      if (at + 3 > frames.length) throw new Error('a ZSTD block is cut short');
      const header = frames[at] | (frames[at + 1] << 8) | (frames[at + 2] << 16);
      last = header & 1;
      const type = (header >> 1) & 3;
      const size = header >> 3;
      if (size > blockMax) throw new Error('a ZSTD block is too large');
      bound += type === 2 ? blockMax : size;
      at += 3 + (type === 1 ? 1 : size);
    }
    at += checksum;
  } while (at < frames.length);
  if (at > frames.length) throw new Error('a ZSTD frame is cut short');
  if (declared !== undefined && (count > 1 || declared !== rawBytes)) {
    throw new Error(`of ${count} ZSTD frames, one declares ${declared} bytes`);
  }
  // an encoder may split blocks, each counted at 128 KiB; the slack bounds the allocation
  if (bound > 2 * rawBytes + slackBytesMax) throw new Error('too many ZSTD blocks');
  if (bound < rawBytes) throw new Error('too few ZSTD blocks');
}

interface ZstdHeader {
  /** Undefined: the whole content, whose size is then declared. */
  readonly windowBytes: number | undefined;
  /** Of the content; undefined where it is not declared. */
  readonly size: number | undefined;
  /** Where the first block begins. */
  readonly blocks: number;
  /** Bytes of the checksum behind the last one. */
  readonly checksum: 0 | 4;
}

function readHeader(frame: Uint8Array): ZstdHeader {
  const magic = frame[0] | (frame[1] << 8) | (frame[2] << 16) | (frame[3] << 24);
  if (frame.length < 6 || magic !== (0xfd2fb528 | 0)) throw new Error('no ZSTD frame');
  const descriptor = frame[4];
  const singleSegment = (descriptor >> 5) & 1;
  // exponent − 10 above 3 bits of eighths
  const window = 2 ** (10 + (frame[5] >> 3)) * (1 + (frame[5] & 7) / 8);
  const sizeBytes = [singleSegment, 2, 4, 8][descriptor >> 6];
  const blocks = 5 + (1 - singleSegment) + [0, 1, 2, 4][descriptor & 3] + sizeBytes;
  let size = sizeBytes === 2 ? 256 : 0; // two bytes count from there on
  for (let i = 0; i < sizeBytes; i++) size += frame[blocks - sizeBytes + i] * 256 ** i;
  return {
    windowBytes: singleSegment ? undefined : window,
    size: sizeBytes > 0 ? size : undefined,
    blocks,
    checksum: (descriptor >> 2) & 1 ? 4 : 0,
  };
}
