/** NumPy's `.npy`: the header by hand (a page of format), the values by position, never whole. */
import { type FileHandle, open } from 'node:fs/promises';
import { LogitcaskError } from '../errors.ts';

const types = ['f2', 'f4', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8'] as const;
export type NpyType = (typeof types)[number];

export interface NpyHeader {
  readonly type: NpyType;
  /** Bytes of a value. */
  readonly width: number;
  readonly shape: readonly number[];
  /** Offset of the first value. */
  readonly dataOffset: number;
}

export interface NpyFile {
  readonly header: NpyHeader;
  readonly descriptor: number;
  /** Bytes of the values from `offset` on; `source-unreadable` where the file ends before. */
  read(offset: number, length: number): Promise<Buffer>;
  close(): Promise<void>;
}

/** A header is at most this long. */
export const npyHeaderBytesMax = 65_536;

const magic = Buffer.from('\x93NUMPY', 'latin1');
const supported = new RegExp(`^[<|](${types.join('|')})$`);

function unreadable(file: string, expected: string, got: unknown): LogitcaskError {
  const message =
    `capture: ${file} cannot be read as .npy: expected ${expected}, got ${got}; ` +
    'write it again with numpy.save';
  return new LogitcaskError('source-unreadable', message, { expected, got });
}

/** Opens a `.npy` file and proves that it is whole. Throws `source-unreadable`. */
export async function openNpy(file: string): Promise<NpyFile> {
  const handle = await open(file).catch((cause) => {
    const message = `capture: cannot read ${file} (${cause.code})`;
    throw new LogitcaskError('source-unreadable', message, { expected: 'a .npy file', cause });
  });
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw unreadable(file, 'a file', 'a folder or a device');
    const head = Buffer.alloc(Math.min(stat.size, npyHeaderBytesMax));
    await fill(handle, head, 0);
    const header = parseNpyHeader(head, file);
    const { dataOffset } = header;
    checkNpySize(header, stat.size, file);
    return {
      header,
      descriptor: handle.fd,
      async read(offset, length) {
        // of its own, so that typed arrays are aligned
        const bytes = Buffer.allocUnsafeSlow(length);
        const read = await fill(handle, bytes, dataOffset + offset);
        if (read === length) return bytes;
        throw unreadable(file, `${length} bytes at ${dataOffset + offset}`, read);
      },
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Reads until the buffer is full or the file ends; returns the bytes read. */
export async function fill(handle: FileHandle, bytes: Buffer, offset: number): Promise<number> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesRead } = await handle.read(bytes, done, bytes.length - done, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

/** Throws `source-unreadable` where the size is not that of the header and its values. */
export function checkNpySize(header: NpyHeader, size: number, file: string): void {
  const expected = header.dataOffset + npyCount(header) * header.width;
  if (size !== expected) throw unreadable(file, `${expected} bytes in all`, size);
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
    throw unreadable(file, `little-endian numbers (${types.join(', ')})`, descr ?? text);
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

/**
 * Ids of any integer type as int32. Throws `source-unreadable` for floats, `token-out-of-range`
 * where an id does not fit.
 */
export function integersOf(
  bytes: Buffer,
  { type, width }: Pick<NpyHeader, 'type' | 'width'>,
  file: string,
): Int32Array {
  if (type[0] === 'f') throw unreadable(file, 'integers', type);
  const read = integerAt(bytes, type[0] === 'u', width);
  const out = new Int32Array(bytes.length / width);
  for (let i = 0; i < out.length; i++) {
    const value = read(i * width);
    if (value < -(2 ** 31) || value >= 2 ** 31) {
      const message = `capture: id ${value} at ${i} of ${file} does not fit 32 bits`;
      throw new LogitcaskError('token-out-of-range', message, { expected: 'int32', got: value });
    }
    out[i] = value;
  }
  return out;
}

function integerAt(bytes: Buffer, unsigned: boolean, width: number): (at: number) => number {
  if (width === 8) {
    return unsigned
      ? (at) => Number(bytes.readBigUInt64LE(at))
      : (at) => Number(bytes.readBigInt64LE(at));
  }
  return unsigned ? (at) => bytes.readUIntLE(at, width) : (at) => bytes.readIntLE(at, width);
}
