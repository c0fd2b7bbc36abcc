/** Whole logits in `.npy` [N, V], float32 or float16, read by position. */
import type { DenseRows } from '../distribution/rows.ts';
import { LogitcaskError } from '../errors.ts';
import { openNpy } from '../formats/npy.ts';
import type { DumpRows } from './dump-rows.ts';

const floatTypes = { f4: 'f32', f2: 'f16' } as const;

/** Errors: `source-unreadable`. */
export async function openDense(file: string): Promise<DumpRows> {
  const npy = await openNpy(file);
  const { type: found, shape, width: valueBytes } = npy.header;
  const type = floatTypes[found as keyof typeof floatTypes];
  if (shape.length !== 2 || type === undefined) {
    await npy.close();
    const got = `${found} [${shape.join(', ')}]`;
    const expected = 'float32 or float16 logits [N, V]';
    const message = `capture: ${file} holds ${got}, expected ${expected}`;
    throw new LogitcaskError('source-unreadable', message, { expected, got });
  }
  const [count, width] = shape;
  const rowBytes = width * valueBytes;
  return {
    count,
    width,
    reports: 'whole',
    rowBytes,
    async rows(from, lend) {
      let row = from;
      return {
        async take(n) {
          const bytes = Buffer.from(lend(n * rowBytes), 0, n * rowBytes);
          await npy.readInto(bytes, row * rowBytes);
          row += n;
          return denseRows(bytes, { count: n, width, type });
        },
        async close() {},
      };
    },
    close: () => npy.close(),
  };
}

function denseRows(
  bytes: Buffer,
  { count, width, type }: { count: number; width: number; type: 'f32' | 'f16' },
): DenseRows {
  const { buffer, byteOffset } = bytes;
  const values =
    type === 'f32'
      ? new Float32Array(buffer, byteOffset, count * width)
      : new Uint16Array(buffer, byteOffset, count * width);
  return { form: 'dense', count, width, type, values };
}
