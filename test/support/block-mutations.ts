/** ZSTD frames and LZ4 blocks written by hand around raw bytes, true and untrue ones. */

type Block = (raw: Buffer, next: () => number) => Buffer;

const blockBytesMax = 128 * 1024;
const magic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9]);

function blockHeader(size: number, type: number, last: number): Buffer {
  const header = (size << 3) | (type << 1) | last;
  return Buffer.from([header & 255, (header >> 8) & 255, (header >> 16) & 255]);
}

/** A ZSTD frame of one raw block; `head` is what lies between magic and block. */
function zstd(
  head: readonly number[],
  raw: Buffer,
  { type = 0, last = 1, size = raw.length } = {},
) {
  return Buffer.concat([magic, Buffer.from(head), blockHeader(size, type, last), raw]);
}

/** Descriptor 0xa0: single segment, content size in 4 bytes. */
function sized(size: number): number[] {
  return [0xa0, size & 255, (size >> 8) & 255, (size >> 16) & 255, (size >> 24) & 255];
}

const runOf = (bytes: number, count: number) =>
  Buffer.concat([magic, Buffer.from([0, 0x58]), blockHeader(count, 1, 1), Buffer.from([bytes])]);

/** Window descriptors: exponent in the 5 high bits, window = 2^(10 + exponent). */
const window = (log: number) => (log - 10) << 3;

export const zstdFrames: readonly Block[] = [
  (raw) => zstd([0, window(17)], raw),
  (raw) => zstd([0, window(23)], raw),
  (raw) => zstd([0, window(24)], raw),
  (raw) => zstd([0, window(27)], raw),
  (raw) => zstd([0, window(31)], raw),
  (raw) => zstd([0, 255], raw),
  (raw) => zstd(sized(raw.length), raw),
  (raw) => zstd(sized(raw.length + 1), raw),
  (raw) => zstd(sized(raw.length - 1), raw),
  (raw) => zstd(sized(0x7fffffff), raw),
  (raw) => zstd([0x01, window(17), 7], raw), // a dictionary
  (raw) => zstd([0x08, window(17)], raw), // the reserved bit
  (raw) => Buffer.concat([zstd([0x04, window(17)], raw), Buffer.from([1, 2, 3, 4])]), // checksum
  (raw) => zstd([0, window(17)], raw, { last: 0 }),
  (raw) => zstd([0, window(17)], raw, { type: 3 }),
  (raw) => zstd([0, window(17)], raw, { type: 2 }),
  (raw) => zstd([0, window(17)], raw, { size: raw.length + 1 }),
  (raw, next) => zstd([0, window(17)], raw, { size: Math.floor(next() * raw.length) }),
  (raw) => Buffer.concat([zstd([0, window(17)], raw), skippable]),
  (raw) => Buffer.concat([skippable, zstd([0, window(17)], raw)]),
  (raw, next) => {
    const cut = Math.floor(next() * raw.length);
    const parts = [raw.subarray(0, cut), raw.subarray(cut)];
    return Buffer.concat(parts.map((part) => zstd([0, window(17)], part)));
  },
  (raw, next) => {
    const cut = Math.floor(next() * raw.length);
    const first = zstd([0, window(17)], raw.subarray(0, cut), { last: 0 });
    return Buffer.concat([first, blockHeader(raw.length - cut, 0, 1), raw.subarray(cut)]);
  },
  (raw, next) => {
    // libraries that decode as a stream do not prove a size where the last block is empty
    const cut = Math.floor(next() * raw.length);
    const lying = zstd(sized(cut + 1), raw.subarray(0, cut), { last: 0 });
    return Buffer.concat([lying, blockHeader(0, 0, 1), zstd([0, window(17)], raw.subarray(cut))]);
  },
  (raw) => Buffer.concat(Array.from(raw, (byte) => zstd([0, window(17)], Buffer.from([byte])))),
  (raw) => runOf(raw[0] ?? 0, raw.length),
  (raw) => runOf(1, raw.length),
  () => runOf(0, blockBytesMax + 1),
  () => runOf(0, 0x1fffff),
];

/** One LZ4 sequence: literals, then a match where there is an offset. */
function sequence(literals: Uint8Array, offset = -1, length = 4): Buffer {
  const extra = (value: number) => {
    if (value < 15) return [];
    const full = Math.floor((value - 15) / 255);
    return [...Array<number>(full).fill(255), (value - 15) % 255];
  };
  const match = offset < 0 ? 0 : length - 4;
  const token = (Math.min(15, literals.length) << 4) | Math.min(15, match);
  return Buffer.from([
    token,
    ...extra(literals.length),
    ...literals,
    ...(offset < 0 ? [] : [offset & 255, offset >> 8, ...extra(match)]),
  ]);
}

/** LZ4's end of a block: no match begins in its last 12 bytes. */
const endBytes = 12;

/** Literals, a match of `offset` in their middle, and the rest as literals. */
function withMatch(raw: Buffer, next: () => number, offset: (at: number) => number): Buffer {
  if (raw.length <= 12 + endBytes) return sequence(raw);
  const at = 1 + Math.floor(next() * (raw.length - 12 - endBytes));
  const length = 4 + Math.floor(next() * 8);
  const head = sequence(raw.subarray(0, at), offset(at), length);
  return Buffer.concat([head, sequence(raw.subarray(at + length))]);
}

export const lz4Blocks: readonly Block[] = [
  (raw) => sequence(raw),
  (raw) => sequence(raw.subarray(1)),
  (raw) => sequence(Buffer.concat([raw, Buffer.alloc(1)])),
  (raw, next) => sequence(raw).subarray(0, Math.floor(next() * raw.length)),
  (raw) => Buffer.concat([Buffer.from([0xf0]), Buffer.alloc(1 + (raw.length >> 8), 255)]),
  (raw) => Buffer.concat([Buffer.from([0xf0]), Buffer.alloc(40, 255), raw]),
  (raw) => Buffer.concat([sequence(raw), sequence(Buffer.alloc(0))]),
  (raw, next) => withMatch(raw, next, () => 1),
  (raw, next) => withMatch(raw, next, (at) => at),
  (raw, next) => withMatch(raw, next, (at) => at + 1),
  (raw, next) => withMatch(raw, next, () => 0xffff),
  (raw) => sequence(raw.subarray(0, raw.length >> 1), 1, raw.length - (raw.length >> 1)),
  (raw) => sequence(raw.subarray(0, 1), 1, 100_000),
  () => Buffer.alloc(0),
];
