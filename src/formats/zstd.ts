/** ZSTD with bounded output: the library has no limit of its own (12 KB have become 400 MB). */
import { Decoder, Encoder } from '@toondepauw/node-zstd';

type Level = 3 | 6;

const slackBytesMax = 8 * 1024 * 1024;
const encoders: Readonly<Record<Level, Encoder>> = { 3: new Encoder(3), 6: new Encoder(6) };
const decoder = new Decoder();

export function zstdCompress(raw: Uint8Array, level: Level = 3): Uint8Array {
  return encoders[level].encodeSync(bufferOf(raw));
}

/** Gives exactly `rawBytes` bytes or throws, before anything much larger is allocated. */
export function zstdDecompress(block: Uint8Array, rawBytes: number): Uint8Array {
  // an encoder may split blocks, each counted at 128 KiB; the slack bounds the allocation
  if (zstdBound(block) > 2 * rawBytes + slackBytesMax) throw new Error('too many ZSTD blocks');
  return exact(decoder.decodeSync(bufferOf(block)), rawBytes);
}

export function exact(raw: Uint8Array, rawBytes: number): Uint8Array {
  if (raw.length !== rawBytes) throw new Error(`${raw.length} bytes came out, not ${rawBytes}`);
  return raw;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Most bytes that a ZSTD frame can give: the sum over its blocks of 128 KiB, or of what a raw or
 * run-length block declares.
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
