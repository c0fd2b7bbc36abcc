/** Frames that are not what they say: seeded mutations, most of them behind a right checksum. */
import { readdirSync, readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { compressions } from '../../src/encode/compression.ts';
import { checkFrame, headerBytes, rawBytes } from '../../src/encode/frame.ts';
import { lz4Blocks, zstdFrames } from './block-mutations.ts';
import { random } from './dump.ts';

export interface Mutation {
  readonly about: string;
  readonly frame: Buffer;
  /** V to read it with. */
  readonly width: number;
}

type Next = () => number;

const folder = new URL('../golden/frames/', import.meta.url);
const bytesMax = 2048;

/** The golden frames small enough to fuzz: both kinds, both compressions, every width. */
export const seeds: readonly Buffer[] = readdirSync(folder)
  .filter((name) => name.endsWith('.bin'))
  .map((name) => readFileSync(new URL(name, folder)))
  .filter(({ length }) => length <= bytesMax);

/** Puts the right length and checksum on a frame: what is left to refuse it is what it says. */
export function sealed(frame: Buffer): Buffer {
  frame.writeUInt32LE(frame.length - headerBytes, 28);
  frame.writeUInt32LE(crc32(frame.subarray(headerBytes), crc32(frame.subarray(0, 36))), 36);
  return frame;
}

const below = (next: Next, limit: number) => Math.floor(next() * limit);
const pick = <T>(next: Next, all: readonly T[]): T => all[below(next, all.length)];

export function rawOf(frame: Buffer): Buffer {
  const header = checkFrame(frame);
  const block = frame.subarray(headerBytes);
  return Buffer.from(compressions[header.compression].decompress(block, header.rawBytes));
}

function around(frame: Buffer, block: Uint8Array): Buffer {
  return sealed(Buffer.concat([frame.subarray(0, headerBytes), block]));
}

function changedBytes(next: Next, bytes: Buffer): Buffer {
  const changed = Buffer.from(bytes);
  const interesting = [0, 1, 0x7f, 0x80, 0xff];
  for (let left = 1 + below(next, 3); left > 0 && changed.length > 0; left--) {
    const at = below(next, changed.length);
    changed[at] = next() < 0.5 ? pick(next, interesting) : below(next, 256);
  }
  return changed;
}

const kinds: Readonly<Record<string, (frame: Buffer, next: Next) => Buffer>> = {
  'bytes changed, checksum not': (frame, next) => changedBytes(next, frame),
  'bytes of the block': (frame, next) =>
    around(frame, changedBytes(next, frame.subarray(headerBytes))),
  'a block cut short': (frame, next) =>
    around(frame, frame.subarray(headerBytes, headerBytes + below(next, frame.length))),
  'bytes after the block': (frame, next) =>
    around(frame, Buffer.concat([frame.subarray(headerBytes), Buffer.alloc(1 + below(next, 9))])),
  'a header field': (frame, next) => {
    const changed = Buffer.from(frame);
    const at = pick(next, [5, 6, 7, 8, 9, 10, 11]);
    changed[at] = next() < 0.5 ? below(next, 5) : below(next, 256);
    return sealed(changed);
  },
  'a header number': (frame, next) => {
    const changed = Buffer.from(frame);
    const at = pick(next, [12, 16, 20, 24, 32]);
    const near = changed.readUInt32LE(at) + pick(next, [-1, 1, 256, 65_536]);
    changed.writeUInt32LE((next() < 0.5 ? near : below(next, 2 ** 32)) >>> 0, at);
    return sealed(changed);
  },
  'counts with a raw length that fits them': (frame, next) => {
    const changed = Buffer.from(frame);
    const header = checkFrame(frame);
    const positions = Math.max(0, header.positions + below(next, 7) - 3);
    const entries = Math.max(0, header.entries + below(next, 7) - 3);
    changed.writeUInt32LE(positions, 12);
    changed.writeUInt32LE(entries, 16);
    changed.writeUInt32LE(rawBytes({ ...header, positions, entries }), 32);
    return sealed(changed);
  },
  'the raw integers': (frame, next) => {
    const raw = changedBytes(next, rawOf(frame));
    return around(frame, compressions[checkFrame(frame).compression].compress(raw));
  },
  'another compression of them': (frame, next) => {
    const changed = Buffer.from(frame);
    changed[6] = checkFrame(frame).compression === 'zstd' ? 2 : 1;
    const raw = next() < 0.5 ? rawOf(frame) : changedBytes(next, rawOf(frame));
    return around(changed, compressions[changed[6] === 1 ? 'zstd' : 'lz4'].compress(raw));
  },
  'a made-up ZSTD frame': (frame, next) => {
    const changed = Buffer.from(frame);
    changed[6] = 1;
    return around(changed, pick(next, zstdFrames)(rawOf(frame), next));
  },
  'a made-up LZ4 block': (frame, next) => {
    const changed = Buffer.from(frame);
    changed[6] = 2;
    return around(changed, pick(next, lz4Blocks)(rawOf(frame), next));
  },
};

/** The same mutations in every run. */
export function* mutations(count: number, seed: number): Generator<Mutation> {
  const next = random(seed);
  for (let i = 0; i < count; i++) {
    const about = pick(next, Object.keys(kinds));
    const seed = pick(next, seeds);
    const width = seed[8] === 4 ? 2 ** 32 : 128_256;
    yield { about, frame: kinds[about](seed, next), width };
  }
}
