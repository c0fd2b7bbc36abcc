/** The input and the outputs of an ONNX model of images, found by name, type and shape. */
import type { InferenceSession, Tensor, TypedTensor } from 'onnxruntime-node';
import type { PreprocessConfig } from '../../schemas/preprocess.ts';
import { LogitcaskError } from '../errors.ts';
import { fromFloat16 } from '../formats/float16.ts';
import type { PixelInput } from './image-pixels.ts';

const types = ['float32', 'float16', 'uint8'] as const;

export interface ImageGraph {
  /** Name of the input. */
  readonly name: string;
  readonly input: PixelInput;
}

/** Throws `teacher-unsuitable`; `config-invalid` where the preprocessing does not fit the input. */
export function readImageGraph(
  { inputMetadata }: InferenceSession,
  { model, preprocess }: { readonly model: string; readonly preprocess: PreprocessConfig },
): ImageGraph {
  const [meta] = inputMetadata;
  const type = types.find((one) => meta?.isTensor && meta.type === one);
  if (inputMetadata.length !== 1 || !meta?.isTensor || type === undefined) {
    throw unsuitable(model, inputMetadata.map(described).join(', '));
  }
  const isChannels = (size: number | string) => size === 1 || size === 3;
  const { shape } = meta;
  const layout = isChannels(shape[1]) ? 'nchw' : 'nhwc';
  const [batch, ...inner] = shape;
  const [channels, ...sides] = layout === 'nchw' ? inner : [inner[2], inner[0], inner[1]];
  const isOne = batch === 1 || !isFixed(batch);
  if (shape.length !== 4 || !isChannels(channels) || !isOne) {
    throw unsuitable(model, described(meta));
  }
  const [height, width] = sizeOf(sides, { model, preprocess });
  const input = { height, width, channels: channels as 1 | 3, layout, type, preprocess } as const;
  refuseMisfit(input);
  return { name: meta.name, input };
}

const isFixed = (size: number | string) => typeof size === 'number' && size > 0;

function sizeOf(
  sides: readonly (number | string)[],
  { model, preprocess: { size } }: { model: string; preprocess: PreprocessConfig },
): readonly number[] {
  const found = sides.map((side, i) => (isFixed(side) ? (side as number) : size?.[i]));
  const isSame = found.every((side, i) => side === (size?.[i] ?? side));
  if (isSame && !found.includes(undefined)) return found as number[];
  const got = size?.join(' × ') ?? 'none';
  const message = `config: ${model} takes images of ${sides.join(' × ')}, \`preprocess.size\` is `;
  const hint = `${got}; name height and width that it takes`;
  throw new LogitcaskError('config-invalid', message + hint, { expected: sides, got });
}

function refuseMisfit({ channels, type, preprocess }: PixelInput): void {
  const { scale, mean, std } = preprocess;
  const wrong = [mean, std].find((list) => list !== undefined && list.length !== channels);
  if (wrong !== undefined) {
    const given = `${wrong.length} of mean or std for ${channels} channels`;
    const message = `config: \`preprocess\` has ${given}; give one a channel`;
    throw new LogitcaskError('config-invalid', message, { expected: channels, got: wrong });
  }
  if (type !== 'uint8' || (scale ?? mean ?? std) === undefined) return;
  const message = 'config: the model takes bytes; leave scale, mean and std out of `preprocess`';
  throw new LogitcaskError('config-invalid', message, { expected: 'none', got: preprocess });
}

/** What a head, or the geometry, takes of the model. */
export interface OutputForm {
  readonly output: string;
  /** Sizes behind the batch and the positions; undefined where any will do. */
  readonly inner: readonly (number | undefined)[];
}

export interface OutputValues {
  /** A: 1 where the output has no dimension of positions. */
  readonly positions: number;
  /** The last size. */
  readonly width: number;
  readonly values: Float32Array;
}

/** Values [1, A, …inner] or [1, …inner] of one image. Throws `teacher-unsuitable`. */
export function valuesOfOutput(tensor: Tensor, form: OutputForm, model: string): OutputValues {
  const { output, inner } = form;
  const { dims, type } = tensor;
  const isFloat = type === 'float32' || type === 'float16';
  const own = dims.slice(dims.length - inner.length);
  const extra = dims.length - inner.length;
  const isFit = own.every((size, i) => size === (inner[i] ?? size)) && !dims.includes(0);
  if (!isFloat || !isFit || extra < 1 || extra > 2 || dims[0] !== 1) {
    const sizes = inner.map((size) => size ?? 'V').join(', ');
    const expected = `float32 or float16 [1, ${sizes}] or [1, A, ${sizes}]`;
    const got = `${type} [${dims.join(', ')}]`;
    const message = `capture: ${model} gives ${output} ${got}, expected ${expected}; `;
    throw new LogitcaskError('teacher-unsuitable', `${message}reshape it in the export`, {
      expected,
      got,
    });
  }
  const { data } = tensor as TypedTensor<'float32' | 'float16'>;
  const values =
    data instanceof Float32Array
      ? data
      : fromFloat16(new Uint16Array(data.buffer, data.byteOffset, data.length));
  return { positions: extra === 2 ? dims[1] : 1, width: dims[dims.length - 1], values };
}

function described(value: InferenceSession.ValueMetadata): string {
  return value.isTensor ? `${value.name} ${value.type} [${value.shape.join(', ')}]` : value.name;
}

function unsuitable(model: string, got: string): LogitcaskError {
  const expected = `one input of ${types.join(', ')}: [1, 3 or 1, H, W] or [1, H, W, 3 or 1]`;
  const message = `capture: ${model} wants ${got}; expected ${expected}: export it for images`;
  return new LogitcaskError('teacher-unsuitable', message, { expected, got });
}
