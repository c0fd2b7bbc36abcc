/** Safetensors: the header by hand (JSON behind its length), values by position, never whole. */
import { open } from 'node:fs/promises';
import { LogitcaskError } from '../errors.ts';
import { fill, type NpyType } from './npy.ts';

/** The types that are read here, as `.npy` calls them; others may lie beside them. */
const types: Readonly<Record<string, NpyType | 'bf16'>> = {
  F32: 'f4',
  F16: 'f2',
  BF16: 'bf16',
  I8: 'i1',
  I16: 'i2',
  I32: 'i4',
  I64: 'i8',
  U8: 'u1',
  U16: 'u2',
  U32: 'u4',
  U64: 'u8',
};

export interface SafeTensor {
  readonly type: NpyType | 'bf16';
  /** Bytes of a value. */
  readonly width: number;
  readonly shape: readonly number[];
  readonly descriptor: number;
  /** Offset of the first value. */
  readonly dataOffset: number;
  /** All of its bytes. */
  read(): Promise<Buffer>;
}

export interface SafeTensors {
  readonly tensors: ReadonlyMap<string, SafeTensor>;
  close(): Promise<void>;
}

interface Entry {
  readonly name: string;
  readonly dtype: unknown;
  readonly shape: readonly number[];
  readonly from: number;
  readonly to: number;
}

const headerBytesMax = 16 * 1024 * 1024;

/** Opens a file and proves that its header covers it, byte for byte. Throws `source-unreadable`. */
export async function openSafetensors(file: string): Promise<SafeTensors> {
  const handle = await open(file).catch((cause) => {
    const message = `capture: cannot read ${file} (${cause.code}); correct its path`;
    throw new LogitcaskError('source-unreadable', message, { expected: 'a file', cause });
  });
  const refused = (expected: string, got: unknown) => {
    const what = `expected ${expected}, got ${got}`;
    const message = `capture: ${file} cannot be read as safetensors: ${what}`;
    return new LogitcaskError('source-unreadable', message, { expected, got });
  };
  const read = async (bytes: Buffer, at: number) => {
    const found = await fill(handle, bytes, at);
    if (found < bytes.length) throw refused(`${bytes.length} bytes at ${at}`, found);
  };
  try {
    const { size } = await handle.stat();
    const prefix = Buffer.alloc(8);
    await read(prefix, 0);
    const headerBytes = Number(prefix.readBigUInt64LE());
    const headerMax = Math.min(headerBytesMax, size - prefix.length);
    if (headerBytes > headerMax) throw refused(`a header of up to ${headerMax} bytes`, headerBytes);
    const header = Buffer.alloc(headerBytes);
    await read(header, prefix.length);
    const first = prefix.length + headerBytes;
    const entries = entriesOf(header, refused);
    checkCover(entries, size - first, refused);
    const tensors = entries.flatMap(({ name, dtype, shape, from, to }) => {
      const type = types[String(dtype)];
      if (type === undefined) return [];
      const width = type === 'bf16' ? 2 : Number(type[1]);
      const bytes = shape.reduce((product, dim) => product * dim, width);
      if (bytes !== to - from) throw refused(`${bytes} bytes of ${name}`, to - from);
      const dataOffset = first + from;
      const readAll = async () => {
        const all = Buffer.allocUnsafeSlow(bytes); // of its own, so that typed arrays are aligned
        await read(all, dataOffset);
        return all;
      };
      const place = { descriptor: handle.fd, dataOffset, read: readAll };
      return [[name, { type, width, shape, ...place }] as const];
    });
    return { tensors: new Map(tensors), close: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

type Refused = (expected: string, got: unknown) => LogitcaskError;

function entriesOf(header: Buffer, refused: Refused): Entry[] {
  const isSize = (value: unknown): value is number =>
    Number.isSafeInteger(value) && Number(value) >= 0;
  const areSizes = (value: unknown): value is number[] =>
    Array.isArray(value) && value.every(isSize);
  const named = parsed(header, refused);
  return Object.entries(named).flatMap(([name, tensor]) => {
    if (name === '__metadata__') return [];
    const { dtype, shape, data_offsets: offsets } = Object(tensor) as Record<string, unknown>;
    if (areSizes(shape) && areSizes(offsets) && offsets.length === 2) {
      return [{ name, dtype, shape, from: offsets[0], to: offsets[1] }];
    }
    throw refused(`shape and data_offsets of ${name}`, JSON.stringify(tensor)?.slice(0, 80));
  });
}

function parsed(header: Buffer, refused: Refused): object {
  try {
    const value: unknown = JSON.parse(header.toString());
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // refused below
  }
  throw refused('a header of JSON', JSON.stringify(header.toString('latin1', 0, 20)));
}

/** Tensors lie one behind the other to the end of the file: none is shared, cut or left out. */
function checkCover(entries: readonly Entry[], dataBytes: number, refused: Refused): void {
  let end = 0;
  for (const { name, from, to } of [...entries].sort((a, b) => a.from - b.from || a.to - b.to)) {
    if (from !== end || to < from) throw refused(`${name} at ${end}`, `${from} to ${to}`);
    end = to;
  }
  if (end !== dataBytes) throw refused(`${end} bytes of tensors`, dataBytes);
}
