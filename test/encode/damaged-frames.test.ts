import { crc32 } from 'node:zlib';
import { Encoder } from '@toondepauw/node-zstd';
import fc from 'fast-check';
import { compressSync } from 'lz4-napi';
import { describe, expect, it } from 'vitest';
import { checkFrame, headerBytes } from '../../src/encode/frame.ts';
import { decodePlanes, encodePlanes } from '../../src/encode/planes.ts';
import { checkZstd } from '../../src/formats/zstd.ts';
import { damagedFrame } from '../contracts/codec.ts';

const width = 1000;
const good = {
  kind: 'scaled' as const,
  counts: Uint32Array.of(3, 0, 2, 1),
  ids: Uint32Array.of(0, 5, 999, 7, 8, 300),
  levels: Uint16Array.of(300, 2, 1, 40, 40, 333),
  rest: Uint16Array.of(5000, 0, 9000, 65_535),
};

const frameOf = (compression: 'zstd' | 'lz4' = 'zstd') =>
  Buffer.from(encodePlanes(good, { step: 0.003, tau: 0, compression }));

/** Puts the right checksum on a changed frame: what is left to refuse it is what it says. */
function sealed(frame: Buffer): Buffer {
  const crc = crc32(frame.subarray(headerBytes), crc32(frame.subarray(0, 36)));
  frame.writeUInt32LE(crc, 36);
  return frame;
}

/** A frame with right lengths and checksum around any raw bytes. */
function frameAround(raw: Buffer, change: (frame: Buffer) => void = () => {}, lz4 = false): Buffer {
  const block = lz4 ? compressSync(raw).subarray(4) : new Encoder(3).encodeSync(raw);
  const frame = Buffer.concat([frameOf(lz4 ? 'lz4' : 'zstd').subarray(0, headerBytes), block]);
  frame.writeUInt32LE(block.length, 28);
  frame.writeUInt32LE(raw.length, 32);
  change(frame);
  return sealed(frame);
}

/** The raw block of `good`, plane by plane. */
function rawBlock({
  counts = [3, 0, 2, 1],
  rest = [5000, 0, 9000, 65_535],
  deltas = [0, 5, 994, 7, 1, 300],
  levels = [300, 2, 1, 40, 40, 333],
} = {}): Buffer {
  const planes = (values: number[]) => [
    ...values.map((v) => v & 255),
    ...values.map((v) => v >> 8),
  ];
  return Buffer.from([...counts, ...planes(rest), ...planes(deltas), ...planes(levels)]);
}

const refused = (frame: Uint8Array, labels = width) => {
  expect(() => decodePlanes(frame, { width: labels })).toThrowError(damagedFrame);
};

describe('a damaged frame is refused', () => {
  it('starts from a good one, written here byte by byte too', () => {
    expect(decodePlanes(frameOf(), { width }).levels).toEqual(good);
    expect(decodePlanes(frameAround(rawBlock()), { width }).levels).toEqual(good);
    expect(decodePlanes(frameAround(rawBlock(), undefined, true), { width }).levels).toEqual(good);
  });

  it.each(['zstd', 'lz4'] as const)('at every single flipped bit: %s', (compression) => {
    const frame = frameOf(compression);
    for (let bit = 0; bit < frame.length * 8; bit++) {
      frame[bit >> 3] ^= 1 << (bit & 7);
      refused(frame);
      expect(() => checkFrame(frame)).toThrowError(damagedFrame);
      frame[bit >> 3] ^= 1 << (bit & 7);
    }
  });

  it.each(['zstd', 'lz4'] as const)('cut at every length, or longer: %s', (compression) => {
    const frame = frameOf(compression);
    for (let length = 0; length < frame.length; length++) refused(frame.subarray(0, length));
    refused(Buffer.concat([frame, Buffer.alloc(1)]));
    refused(Buffer.concat([frame, frame]));
  });

  it.each([
    ['version', 4, [0, 2, 255]],
    ['kind', 5, [2, 255]],
    ['compression', 6, [0, 3]],
    ['width of counts', 7, [0, 3, 8]],
    ['planes of ids', 8, [0, 1, 5]],
    ['first reserved byte', 9, [1]],
    ['last reserved byte', 11, [128]],
  ] as const)('with the right checksum, but another %s', (_, at, values) => {
    for (const value of values) {
      const frame = frameOf();
      frame[at] = value;
      refused(sealed(frame));
    }
  });

  it.each([
    ['kind', (frame: Buffer) => frame.writeUInt8(1, 5)],
    ['compression', (frame: Buffer) => frame.writeUInt8(2, 6)],
    ['width of counts', (frame: Buffer) => frame.writeUInt8(2, 7)],
    ['planes of ids', (frame: Buffer) => frame.writeUInt8(3, 8)],
    ['n', (frame: Buffer) => frame.writeUInt32LE(5, 12)],
    ['n, very large', (frame: Buffer) => frame.writeUInt32LE(0xffffffff, 12)],
    ['m', (frame: Buffer) => frame.writeUInt32LE(5, 16)],
    ['step 0', (frame: Buffer) => frame.writeFloatLE(0, 20)],
    ['step NaN', (frame: Buffer) => frame.writeFloatLE(Number.NaN, 20)],
    ['step −1', (frame: Buffer) => frame.writeFloatLE(-1, 20)],
    ['step ∞', (frame: Buffer) => frame.writeFloatLE(Number.POSITIVE_INFINITY, 20)],
    ['τ NaN', (frame: Buffer) => frame.writeFloatLE(Number.NaN, 24)],
    ['τ < 0', (frame: Buffer) => frame.writeFloatLE(-0.5, 24)],
    ['block length', (frame: Buffer) => frame.writeUInt32LE(frame.length - headerBytes - 1, 28)],
    ['raw length', (frame: Buffer) => frame.writeUInt32LE(frame.readUInt32LE(32) + 1, 32)],
  ])('with the right checksum, but a lie about %s', (_, lie) => {
    const frame = frameOf();
    lie(frame);
    refused(sealed(frame));
  });

  it('whose n and m are exchanged for others of the same raw length', () => {
    const frame = frameOf(); // 4·3 + 6·4 bytes are also 8·3 + 3·4
    frame.writeUInt32LE(8, 12);
    frame.writeUInt32LE(3, 16);
    refused(sealed(frame));
  });

  it.each([
    ['counts that add up to less', { counts: [3, 0, 2, 0] }],
    ['counts that add up to more', { counts: [3, 0, 2, 2] }],
    ['a count beyond all entries', { counts: [255, 255, 255, 255] }],
    ['a repeated id', { deltas: [0, 5, 994, 7, 0, 300] }],
    ['an id at V', { deltas: [0, 5, 995, 7, 1, 300] }],
    ['a first id beyond V', { deltas: [0, 5, 994, 65_535, 1, 300] }],
    ['level 0 in a scaled frame', { levels: [300, 2, 0, 40, 40, 333] }],
  ])('with the right checksum, but %s', (_, change) => {
    refused(frameAround(rawBlock(change)));
    refused(frameAround(rawBlock(change), undefined, true));
  });

  it('whose ids would wrap around 32 bits', () => {
    const levels = {
      ...good,
      counts: Uint32Array.of(2),
      ids: Uint32Array.of(0xffffffff, 0xfffffffe), // a delta of −1 is 2^32 − 1
      levels: Uint16Array.of(1, 1),
      rest: Uint16Array.of(1),
    };
    refused(encodePlanes(levels, { step: 0.003, tau: 0, compression: 'zstd' }), 0xffffffff);
  });

  it('that belongs to a smaller label space, or to a sample of another length', () => {
    refused(frameOf(), 999);
    expect(() => decodePlanes(frameOf(), { width, count: 3 })).toThrowError(damagedFrame);
  });

  it('whatever bytes it is made of', () => {
    const bytes = fc.uint8Array({ minLength: 0, maxLength: 200 });
    fc.assert(fc.property(bytes, (junk) => refused(junk)));
    const sealing = fc.property(bytes, fc.boolean(), (junk, lz4) => {
      const frame = Buffer.concat([frameOf(lz4 ? 'lz4' : 'zstd').subarray(0, headerBytes), junk]);
      frame.writeUInt32LE(junk.length, 28);
      refused(sealed(frame));
    });
    fc.assert(sealing, { numRuns: 500 });
  });
});

describe('a frame that expands beyond measure is refused in bounded time and memory', () => {
  const bomb = new Encoder(3).encodeSync(Buffer.alloc(400_000_000));

  /** Peak memory outside the heap, in MiB, while a frame is refused. */
  function cost(frame: Buffer, labels = width): { mebibytes: number; ms: number } {
    const before = process.resourceUsage().maxRSS;
    const started = performance.now();
    refused(frame, labels);
    const mebibytes = (process.resourceUsage().maxRSS - before) / 1024;
    return { mebibytes, ms: performance.now() - started };
  }

  it('ZSTD: 12 KB that become 400 MB', () => {
    const frame = Buffer.concat([frameOf().subarray(0, headerBytes), bomb]);
    frame.writeUInt32LE(bomb.length, 28);
    const { mebibytes, ms } = cost(sealed(frame));
    expect(mebibytes).toBeLessThan(50);
    expect(ms).toBeLessThan(1000);
  });

  it('ZSTD: a bomb whose header owns up to it, but not to what the label space allows', () => {
    const frame = Buffer.concat([frameOf().subarray(0, headerBytes), bomb]);
    frame.writeUInt32LE(bomb.length, 28);
    frame.writeUInt32LE(100_000_000 - 3, 16); // m: 4 positions hold at most 4·V entries
    frame.writeUInt32LE(4 * 3 + 4 * (100_000_000 - 3), 32);
    const { mebibytes, ms } = cost(sealed(frame));
    expect(mebibytes).toBeLessThan(50);
    expect(ms).toBeLessThan(1000);
  });

  it('LZ4: a raw length of 1.9 GB over a few bytes', () => {
    const frame = frameOf('lz4');
    frame.writeUInt32LE(0x1000_0000, 12); // n·(1 + 2) + m·(2 + 2) below 2^32
    frame.writeUInt32LE(0x1000_0000, 16);
    frame.writeUInt32LE(0x1000_0000 * 7, 32);
    const { mebibytes, ms } = cost(sealed(frame), 2 ** 32);
    expect(ms).toBeLessThan(200);
    expect(mebibytes).toBeLessThan(50);
  });

  it('ZSTD block headers are walked before anything is decompressed', () => {
    const raw = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * i) >> 7));
    const frame = new Encoder(3).encodeSync(raw);
    checkZstd(frame, raw.length);
    const refusedFor = (bytes: Uint8Array, rawBytes: number, why: string) => {
      expect(() => checkZstd(bytes, rawBytes)).toThrowError(why);
    };
    refusedFor(bomb, raw.length, 'too many ZSTD blocks');
    refusedFor(frame, 10 * raw.length, 'too few ZSTD blocks');
    refusedFor(frame.subarray(0, frame.length - 1), raw.length, 'cut short');
    refusedFor(frame.subarray(0, 7), raw.length, 'cut short');
    refusedFor(Buffer.alloc(0), 0, 'no ZSTD frame');
    checkZstd(Buffer.concat([frame, frame]), 2 * raw.length);
    refusedFor(Buffer.concat([frame, bomb]), 2 * raw.length, 'too many ZSTD blocks');
    refusedFor(Buffer.concat([frame, frame.subarray(0, 7)]), raw.length, 'cut short');
    refusedFor(Buffer.concat([frame, Buffer.alloc(4)]), raw.length, 'no ZSTD frame');
    const window = Buffer.from(frame);
    window[5] = ((23 - 10) << 3) + 1; // 9 MiB
    refusedFor(window, raw.length, 'window');
    const sized = Buffer.from([...frame.subarray(0, 4), 0xa0, 1, 0, 0, 0, 1, 0, 0]);
    refusedFor(sized, 2, 'of 1 ZSTD frames, one declares 1 bytes');
    refusedFor(Buffer.concat([sized, frame]), raw.length + 1, 'of 2 ZSTD frames, one declares 1');
    const empty = Buffer.from([...frame.subarray(0, 4), 0, 0x38, 1, 0, 0]);
    checkZstd(Buffer.concat([frame, empty]), raw.length);
    refusedFor(Buffer.concat([sized, empty]), 1, 'of 2 ZSTD frames, one declares 1');
  });
});
