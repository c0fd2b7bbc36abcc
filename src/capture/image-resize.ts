/** Images in another size by Pillow's arithmetic: a student's own loader makes the same pixels. */
import type { PreprocessConfig } from '../../schemas/preprocess.ts';
import type { Pixels } from '../formats/image.ts';

export interface Size {
  readonly height: number;
  readonly width: number;
}

type Resample = PreprocessConfig['resample'];

/** Weight of a pixel at a distance, and the distance from which on it is 0. */
interface Filter {
  readonly support: number;
  weight(distance: number): number;
}

const filters: Readonly<Record<Exclude<Resample, 'nearest'>, Filter>> = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, weight: (x) => cubic(Math.abs(x)) },
};

/** Keys' cubic with a = −0.5. */
function cubic(x: number): number {
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

/** Weights are integers of this many bits after the point. */
const weightBits = 22;

/**
 * The columns first, then the rows, each rounded to bytes: equal to Pillow 12; Pillow 13 does the
 * rows of some tall images first, which differs by 1 at most. Where an image becomes smaller, the
 * filter becomes wider with it (antialiasing).
 */
export function resizeImage(image: Pixels, size: Size, resample: Resample): Pixels {
  if (resample === 'nearest') return nearest(image, size);
  const filter = filters[resample];
  return resampleRows(resampleColumns(image, size.width, filter), size.height, filter);
}

function nearest({ height, width, channels, values }: Pixels, size: Size): Pixels {
  const out = new Uint8Array(size.height * size.width * channels);
  let to = 0;
  for (let y = 0; y < size.height; y++) {
    const row = Math.floor((y + 0.5) * (height / size.height)) * width;
    for (let x = 0; x < size.width; x++) {
      const from = (row + Math.floor((x + 0.5) * (width / size.width))) * channels;
      for (let c = 0; c < channels; c++) out[to++] = values[from + c];
    }
  }
  return { ...size, channels, values: out };
}

/** Which inputs make output i: from `first[i]` on, by weights from `i × taps` on. */
interface Taps {
  readonly taps: number;
  readonly first: Int32Array;
  readonly counts: Int32Array;
  readonly weights: Int32Array;
}

function tapsOf(length: number, to: number, { support, weight }: Filter): Taps {
  const scale = length / to;
  const wide = Math.max(scale, 1);
  const reach = support * wide;
  const taps = Math.ceil(reach) * 2 + 1;
  const first = new Int32Array(to);
  const counts = new Int32Array(to);
  const weights = new Int32Array(to * taps);
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * scale;
    const from = Math.max(0, Math.trunc(centre - reach + 0.5));
    const count = Math.min(length, Math.trunc(centre + reach + 0.5)) - from;
    const own = Array.from({ length: count }, (_, j) => {
      return weight((j + from - centre + 0.5) * (1 / wide));
    });
    const sum = own.reduce((a, b) => a + b, 0);
    own.forEach((value, j) => {
      const scaled = (value / sum) * 2 ** weightBits;
      weights[i * taps + j] = Math.trunc(scaled + (scaled < 0 ? -0.5 : 0.5));
    });
    first[i] = from;
    counts[i] = count;
  }
  return { taps, first, counts, weights };
}

function resampleColumns(image: Pixels, width: number, filter: Filter): Pixels {
  if (width === image.width) return image;
  const { height, channels, values } = image;
  const { taps, first, counts, weights } = tapsOf(image.width, width, filter);
  const out = new Uint8Array(height * width * channels);
  let to = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (y * image.width + first[x]) * channels;
      for (let c = 0; c < channels; c++) {
        let sum = 1 << (weightBits - 1);
        for (let j = 0; j < counts[x]; j++) {
          sum += values[from + j * channels + c] * weights[x * taps + j];
        }
        out[to++] = byteOf(sum);
      }
    }
  }
  return { height, width, channels, values: out };
}

function resampleRows(image: Pixels, height: number, filter: Filter): Pixels {
  if (height === image.height) return image;
  const { width, channels, values } = image;
  const { taps, first, counts, weights } = tapsOf(image.height, height, filter);
  const stride = width * channels;
  const out = new Uint8Array(height * stride);
  let to = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < stride; x++) {
      let sum = 1 << (weightBits - 1);
      for (let j = 0; j < counts[y]; j++) {
        sum += values[(first[y] + j) * stride + x] * weights[y * taps + j];
      }
      out[to++] = byteOf(sum);
    }
  }
  return { height, width, channels, values: out };
}

/** Sums stay below 2^31: at most 1.2 × 255 × 2^22. */
const byteOf = (sum: number) => Math.min(255, Math.max(0, sum >> weightBits));
