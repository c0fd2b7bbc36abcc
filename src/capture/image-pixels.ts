/** The pixels of an image → the input of a model: colour, size, scale, mean and std, layout. */
import type { PreprocessConfig } from '../../schemas/build-config.ts';
import type { Pixels } from '../formats/image.ts';
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

/** Values of the input, of its whole height and width: bytes for uint8, otherwise floats. */
export function inputOf(image: Pixels, input: PixelInput): Float32Array | Uint8Array {
  const { height, width, channels, layout, type, preprocess } = input;
  const { values } = framed(channels === 1 ? greyOf(image) : image, input, preprocess);
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

function framed(image: Pixels, size: Size, preprocess: PreprocessConfig): Pixels {
  const { resize, resample, shortest_edge: edge } = preprocess;
  const { height, width } = size;
  if (resize === 'stretch') return resizeImage(image, { height, width }, resample);
  const [down, right] = [height / image.height, width / image.width];
  if (resize === 'letterbox') {
    const inner = resizeImage(image, scaled(image, Math.min(down, right)), resample);
    return placed(inner, { height, width }, preprocess.pad ?? usualPad);
  }
  const factor = edge === undefined ? Math.max(down, right) : undefined;
  const outer =
    factor === undefined ? withShorter(image, edge as number) : scaled(image, factor, size);
  return placed(resizeImage(image, outer, resample), { height, width }, 0);
}

/** Rounded to whole pixels, at least one, or as many as are asked for. */
function scaled({ height, width }: Size, factor: number, least: Size = { height: 1, width: 1 }) {
  return {
    height: Math.max(least.height, Math.round(height * factor)),
    width: Math.max(least.width, Math.round(width * factor)),
  };
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
