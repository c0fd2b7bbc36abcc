/** NumPy's `.npy`: the header by hand (a page of format), the values as views of the bytes. */
import { LogitcaskError } from '../errors.ts';

export type NpyType = 'f4' | 'f2' | 'i4' | 'i8' | 'u4' | 'u2' | 'u1' | 'i2';

export interface NpyHeader {
  readonly type: NpyType;
  /** Bytes of a value. */
  readonly width: number;
  readonly shape: readonly number[];
  /** Offset of the first value. */
  readonly dataOffset: number;
}

/** A header is at most this long. */
export const npyHeaderBytesMax = 65_536;

const magic = Buffer.from('\x93NUMPY', 'latin1');
const supported = /^[<|](f4|f2|i4|i8|u4|u2|u1|i2)$/;

function unreadable(file: string, expected: string, got: unknown): LogitcaskError {
  const message = `capture: ${file} cannot be read as .npy: expected ${expected}, got ${got}`;
  return new LogitcaskError('source-unreadable', message, { expected, got });
}

/**
 * Reads the header from the first bytes of a file (versions 1–3, little-endian, C order). Throws
 * `source-unreadable`.
 */
export function parseNpyHeader(bytes: Buffer, file: string): NpyHeader {
  if (bytes.length < 12 || !bytes.subarray(0, 6).equals(magic)) {
    throw unreadable(file, 'the magic of .npy', JSON.stringify(bytes.toString('latin1', 0, 6)));
  }
  const version = bytes[6];
  if (version < 1 || version > 3) throw unreadable(file, 'version 1 to 3', version);
  const start = version === 1 ? 10 : 12;
  const length = version === 1 ? bytes.readUInt16LE(8) : bytes.readUInt32LE(8);
  if (start + length > bytes.length) throw unreadable(file, 'a whole header', 'a cut one');
  const text = bytes.toString('latin1', start, start + length);
  const descr = /'descr':\s*'([^']*)'/.exec(text)?.[1];
  const type = supported.exec(descr ?? '')?.[1];
  if (type === undefined) {
    throw unreadable(file, 'little-endian numbers (f4, f2, i4, i8, u4, u2, u1)', descr ?? text);
  }
  if (/'fortran_order':\s*False/.exec(text) === null) throw unreadable(file, 'C order', 'Fortran');
  const dims = /'shape':\s*\(([^)]*)\)/.exec(text)?.[1];
  if (dims === undefined) throw unreadable(file, 'a shape', text);
  const shape = dims
    .split(',')
    .filter((dim) => dim.trim() !== '')
    .map(Number);
  if (shape.some((dim) => !Number.isSafeInteger(dim) || dim < 0)) {
    throw unreadable(file, 'a shape of integers', dims);
  }
  return { type: type as NpyType, width: Number(type[1]), shape, dataOffset: start + length };
}

/** Number of values. */
export function npyCount({ shape }: NpyHeader): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** Values of any integer type as int32; throws `source-unreadable` where one does not fit. */
export function integersOf(bytes: Uint8Array, header: NpyHeader, file: string): Int32Array {
  const { type, width } = header;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (type[0] === 'f') throw unreadable(file, 'integers', type);
  const out = new Int32Array(bytes.byteLength / width);
  for (let i = 0; i < out.length; i++) {
    const at = i * width;
    const value =
      width === 8
        ? Number(buffer.readBigInt64LE(at))
        : type[0] === 'i'
          ? buffer.readIntLE(at, width)
          : buffer.readUIntLE(at, width);
    if (value < -(2 ** 31) || value >= 2 ** 31) throw unreadable(file, '32-bit integers', value);
    out[i] = value;
  }
  return out;
}
