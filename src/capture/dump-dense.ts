/** Whole logits in `.npy` [N, V], float32 or float16, read by position. */
import { type FileHandle, open } from 'node:fs/promises';
import type { DumpSourceConfig } from '../../schemas/build-config.ts';
import type { DenseRows } from '../distribution/rows.ts';
import { LogitcaskError } from '../errors.ts';
import {
  integersOf,
  type NpyHeader,
  npyCount,
  npyHeaderBytesMax,
  parseNpyHeader,
} from '../formats/npy.ts';
import type { DumpRows } from './dump-rows.ts';

const tokenBytesMax = 1024 * 1024 * 1024;

export async function openDense(config: DumpSourceConfig): Promise<DumpRows> {
  const { handle, header } = await openNpy(config.logits);
  try {
    const [count, width] = header.shape;
    if (header.shape.length !== 2 || (header.type !== 'f4' && header.type !== 'f2')) {
      throw wrongShape(config.logits, 'float32 or float16 logits [N, V]', header);
    }
    if (config.tokens === undefined) {
      const message = 'config: a dump of logits needs `tokens`, the .npy of its input ids';
      throw new LogitcaskError('config-invalid', message, { expected: 'source.tokens' });
    }
    const read = (file: string) => readIntegers(file, { count, of: config.logits });
    const rowBytes = width * header.width;
    return {
      width,
      reports: 'whole',
      rowBytes,
      tokens: await read(config.tokens),
      next: config.next === undefined ? undefined : await read(config.next),
      async rows(from) {
        let row = from;
        return {
          async take(n) {
            const bytes = Buffer.allocUnsafeSlow(n * rowBytes);
            const at = header.dataOffset + row * rowBytes;
            const { bytesRead } = await handle.read(bytes, 0, bytes.length, at);
            if (bytesRead !== bytes.length) throw cutShort(config.logits, at + bytes.length);
            row += n;
            return denseRows(bytes, { count: n, width, type: header.type });
          },
          async close() {},
        };
      },
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function denseRows(
  bytes: Buffer,
  { count, width, type }: { count: number; width: number; type: string },
): DenseRows {
  const { buffer, byteOffset } = bytes;
  const common = { form: 'dense' as const, count, width };
  return type === 'f4'
    ? { ...common, type: 'f32', values: new Float32Array(buffer, byteOffset, count * width) }
    : { ...common, type: 'f16', values: new Uint16Array(buffer, byteOffset, count * width) };
}

/** Opens a `.npy` file and proves that it is whole. */
async function openNpy(file: string): Promise<{ handle: FileHandle; header: NpyHeader }> {
  const handle = await open(file).catch((cause) => {
    const message = `capture: cannot read ${file} (${cause.code})`;
    throw new LogitcaskError('source-unreadable', message, { expected: 'a .npy file', cause });
  });
  try {
    const { size } = await handle.stat();
    const head = Buffer.alloc(Math.min(size, npyHeaderBytesMax));
    await handle.read(head, 0, head.length, 0);
    const header = parseNpyHeader(head, file);
    const expected = header.dataOffset + npyCount(header) * header.width;
    if (size !== expected) throw cutShort(file, expected, size);
    return { handle, header };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function readIntegers(
  file: string,
  { count, of }: { count: number; of: string },
): Promise<Int32Array> {
  const { handle, header } = await openNpy(file);
  try {
    if (npyCount(header) !== count) {
      const message = `capture: ${file} has ${npyCount(header)} ids for the ${count} rows of ${of}`;
      throw new LogitcaskError('source-mismatch', message, { expected: count, got: header.shape });
    }
    const length = count * header.width;
    if (length > tokenBytesMax) throw wrongShape(file, `at most ${tokenBytesMax} bytes`, header);
    const bytes = Buffer.alloc(length);
    await handle.read(bytes, 0, length, header.dataOffset);
    return integersOf(bytes, header, file);
  } finally {
    await handle.close();
  }
}

function wrongShape(file: string, expected: string, header: NpyHeader): LogitcaskError {
  const got = `${header.type} [${header.shape.join(', ')}]`;
  const message = `capture: ${file} holds ${got}, expected ${expected}`;
  return new LogitcaskError('source-unreadable', message, { expected, got });
}

function cutShort(file: string, expected: number, got?: number): LogitcaskError {
  const message = `capture: ${file} is not whole; write it again`;
  return new LogitcaskError('source-unreadable', message, { expected, got });
}
