/** Whole logits [N, V] in `.npy` or safetensors: where their rows lie. */
import { type FloatType, valueBytes } from '../distribution/rows.ts';
import { LogitcaskError } from '../errors.ts';
import { integersOf, type NpyType, openNpy } from '../formats/npy.ts';
import { openSafetensors, type SafeTensor } from '../formats/safetensors.ts';
import type { DumpRows } from './dump-rows.ts';
import type { FileRows } from './file-rows.ts';

const floatTypes: Readonly<Record<string, FloatType>> = { f4: 'f32', f2: 'f16', bf16: 'bf16' };
/** Ids are small beside logits, and read whole. */
export const idBytesMax = 1024 * 1024 * 1024;

/** Errors: `source-unreadable`. */
export async function openDense(file: string): Promise<DumpRows> {
  const npy = await openNpy(file);
  try {
    return { ...denseRows(file, { ...npy.header, ...npy }), close: () => npy.close() };
  } catch (error) {
    await npy.close();
    throw error;
  }
}

/** Tensors `logits`, and where they are there `tokens` and `next`. Errors: `source-unreadable`. */
export async function openTensors(file: string): Promise<DumpRows> {
  const { tensors, close } = await openSafetensors(file);
  try {
    const logits = tensors.get('logits');
    if (logits === undefined) {
      throw unreadable(file, 'a tensor `logits`', [...tensors.keys()].slice(0, 20).join(', '));
    }
    const ids = async (name: string) => {
      const tensor = tensors.get(name);
      return tensor && readIds(`${name} of ${file}`, tensor);
    };
    const [tokens, next] = [await ids('tokens'), await ids('next')];
    return { ...denseRows(file, logits), tokens, next, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function readIds(name: string, { type, width, shape, read }: SafeTensor) {
  const length = shape.reduce((product, dim) => product * dim, width);
  if (shape.length !== 1 || length > idBytesMax || type in floatTypes) {
    throw unreadable(name, `integers [N], at most ${idBytesMax} bytes`, `${type} [${shape}]`);
  }
  return integersOf(await read(), { type: type as NpyType, width }, name);
}

function denseRows(
  file: string,
  tensor: Pick<SafeTensor, 'type' | 'shape' | 'descriptor' | 'dataOffset'>,
): Omit<DumpRows, 'close'> {
  const { type: found, shape, descriptor, dataOffset } = tensor;
  const type = floatTypes[found];
  if (shape.length !== 2 || shape[1] === 0 || type === undefined) {
    const expected = 'logits [N, V] of float32, float16 or, in safetensors, bfloat16';
    throw unreadable(file, expected, `${found} [${shape.join(', ')}]`);
  }
  const [count, width] = shape;
  const rowBytes = width * valueBytes[type];
  return {
    count,
    width,
    reports: 'whole',
    rowBytes,
    async rows(from) {
      let offset = dataOffset + from * rowBytes;
      return {
        async take(n): Promise<FileRows> {
          const rows = { file, descriptor, offset, count: n, width, type };
          offset += n * rowBytes;
          return { form: 'file', ...rows };
        },
        async close() {},
      };
    },
  };
}

function unreadable(file: string, expected: string, got: string): LogitcaskError {
  const message = `capture: ${file} holds ${got}, expected ${expected}`;
  return new LogitcaskError('source-unreadable', message, { expected, got });
}
