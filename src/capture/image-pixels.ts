/** The pixels of an image → the input of a model: colour, size, scale, mean and std, layout. */
import type { PreprocessConfig } from '../../schemas/preprocess.ts';
import { LogitcaskError } from '../errors.ts';
import { type Pixels, pixelsMax } from '../formats/image.ts';
import { resizeImage, type Size } from './image-resize.ts';

/** What a model takes, and how its pixels are made. Plain data. */
export interface PixelInput extends Size {
  readonly channels: 1 | 3;
  readonly layout: 'nchw' | 'nhwc';
  readonly type: 'float32' | 'float16' | 'uint8';
  readonly preprocess: PreprocessConfig;
}

/** Border of a letterbox, as the detectors that made it usual have it. */
const usualPad = 114;

/**
 * Values of the input, of its whole height and width: bytes for uint8, otherwise floats. Throws
 * `source-unreadable` of an image, by its name, that is so long that resizing it takes too much.
 */
export function inputOf(image: Pixels, input: PixelInput, name: string): Float32Array | Uint8Array {
  const { height, width, channels, layout, type, preprocess } = input;
  refuseVast(image, input, name);
  const { values } = framed(channels === 1 ? greyOf(image) : image, input);
  const area = height * width;
  const out = type === 'uint8' ? new Uint8Array(values.length) : new Float32Array(values.length);
  const isReversed = preprocess.colour === 'bgr';
  for (let c = 0; c < channels; c++) {
    const from = isReversed ? channels - 1 - c : c;
    const table = type === 'uint8' ? undefined : tableOf(preprocess, c);
    const [start, step] = layout === 'nchw' ? [c * area, 1] : [c, channels];
    for (let i = 0; i < area; i++) {
      const pixel = values[i * channels + from];
      out[start + i * step] = table === undefined ? pixel : table[pixel];
    }
  }
  return out;
}

/** What each byte becomes in a channel, rounded to float32 after each step as tensors are. */
function tableOf({ scale = 1 / 255, mean, std }: PreprocessConfig, channel: number): Float32Array {
  const [less, by] = [Math.fround(mean?.[channel] ?? 0), Math.fround(std?.[channel] ?? 1)];
  return Float32Array.from({ length: 256 }, (_, pixel) => {
    return Math.fround(Math.fround(pixel * scale) - less) / by;
  });
}

/** ITU-R 601 luma, in 16 bits after the point. */
function greyOf({ height, width, values }: Pixels): Pixels {
  const grey = new Uint8Array(height * width);
  for (let i = 0; i < grey.length; i++) {
    const [r, g, b] = [values[3 * i], values[3 * i + 1], values[3 * i + 2]];
    grey[i] = (19_595 * r + 38_470 * g + 7_471 * b + 32_768) >> 16;
  }
  return { height, width, channels: 1, values: grey };
}

/** Its columns are resized first, over all of its rows. */
function refuseVast(image: Size, input: PixelInput, name: string): void {
  const { height, width } = resizedOf(image, input);
  const got = Math.max(image.height, height) * width;
  const most = Math.max(pixelsMax, input.height * input.width);
  if (got <= most) return;
  const sides = `${image.height} × ${image.width} pixels`;
  const made = `which take ${got} on the way to the input`;
  const message = `capture: ${name} has ${sides}, ${made}; cut it`;
  throw new LogitcaskError('source-unreadable', message, { expected: `at most ${most}`, got });
}

function framed(image: Pixels, input: PixelInput): Pixels {
  const { resize, resample, pad = usualPad } = input.preprocess;
  const resized = resizeImage(image, resizedOf(image, input), resample);
  return placed(resized, input, resize === 'letterbox' ? pad : 0);
}

/** The size of the whole image, of which the input is a part, or which is a part of the input. */
function resizedOf(image: Size, { height, width, preprocess }: PixelInput): Size {
  const { resize, shortest_edge: edge } = preprocess;
  if (resize === 'stretch') return { height, width };
  if (resize === 'crop') {
    return edge === undefined ? covering(image, { height, width }) : withShorter(image, edge);
  }
  const factor = Math.min(height / image.height, width / image.width);
  const side = (length: number) => Math.max(1, Math.round(length * factor));
  return { height: side(image.height), width: side(image.width) };
}

/** As small as covers a size, its longer side cut to whole pixels. */
function covering(image: Size, { height, width }: Size): Size {
  // by products of whole numbers: those with a factor may fall below one
  return height * image.width >= width * image.height
    ? { height, width: Math.trunc((height * image.width) / image.height) }
    : { height: Math.trunc((width * image.height) / image.width), width };
}

/** The shorter side as given, the longer one in proportion, cut to whole pixels. */
function withShorter({ height, width }: Size, edge: number): Size {
  return height < width
    ? { height: edge, width: Math.trunc((edge * width) / height) }
    : { height: Math.trunc((edge * height) / width), width: edge };
}

/** In the middle of another size: cut where it is larger, with a border where it is smaller. */
function placed(image: Pixels, { height, width }: Size, border: number): Pixels {
  if (image.height === height && image.width === width) return image;
  const { channels } = image;
  const values = new Uint8Array(height * width * channels).fill(border);
  const [top, left] = [offsetOf(image.height, height), offsetOf(image.width, width)];
  const from = Math.max(0, left);
  const length = Math.min(image.width, left + width) - from;
  for (let y = Math.max(0, top); y < Math.min(image.height, top + height); y++) {
    const start = (y * image.width + from) * channels;
    const row = image.values.subarray(start, start + length * channels);
    values.set(row, ((y - top) * width + from - left) * channels);
  }
  return { height, width, channels, values };
}

/** Where the middle begins: halves are rounded to even where cut, and down where bordered. */
function offsetOf(length: number, to: number): number {
  if (to >= length) return -Math.floor((to - length) / 2);
  const half = (length - to) / 2;
  return Number.isInteger(half) ? half : 2 * Math.round(half / 2);
}
