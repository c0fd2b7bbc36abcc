/** Compression of the buffers of a record batch, as Arrow defines it. */
import { compressFrameSync } from 'lz4-napi';
import { zstdCompress } from './zstd.ts';

export type BodyCompression = 'zstd' | 'lz4';

interface BodyCodec {
  /** Its number in Message.fbs. */
  readonly code: number;
  /** A buffer behind its raw length; −1 and as it is where compressing does not make it smaller. */
  wrap(pieces: readonly Uint8Array[]): Uint8Array[];
}

const codec = (code: number, compress: (raw: Buffer) => Uint8Array): BodyCodec => ({
  code,
  wrap(pieces) {
    const raw = Buffer.concat(pieces);
    if (raw.length === 0) return [];
    const packed = compress(raw);
    const smaller = packed.length < raw.length;
    const prefix = Buffer.allocUnsafe(8);
    prefix.writeBigInt64LE(smaller ? BigInt(raw.length) : -1n);
    return [prefix, smaller ? packed : raw];
  },
});

export const bodyCodecs: Readonly<Record<BodyCompression, BodyCodec>> = {
  lz4: codec(0, (raw) => compressFrameSync(raw)),
  zstd: codec(1, (raw) => zstdCompress(raw)),
};
