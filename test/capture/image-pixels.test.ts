/** Images become the input of a model as Pillow and torch make it, byte for byte. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { type PreprocessConfig, preprocess } from '../../schemas/preprocess.ts';
import { picturesOf } from '../../src/capture/image-file.ts';
import { inputOf, type PixelInput } from '../../src/capture/image-pixels.ts';
import { resizeImage } from '../../src/capture/image-resize.ts';
import type { Pixels } from '../../src/formats/image.ts';
import { npy } from '../support/dump.ts';
import { goldenMember } from '../support/golden-npz.ts';

const golden = 'test/golden/vision';
const names: string[] = readFileSync(`${golden}/images.jsonl`, 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line).uri);

const inputAs = (own: Partial<PreprocessConfig>, more: Partial<PixelInput> = {}): PixelInput => ({
  ...{ height: 16, width: 16, channels: 3, layout: 'nhwc', type: 'uint8' },
  ...more,
  preprocess: preprocess.parse(own),
});

describe('files of every kind, through', () => {
  it.each([
    ['stretch', {}],
    ['crop', { resize: 'crop', shortest_edge: 20, resample: 'bicubic' }],
    ['letterbox', { resize: 'letterbox', pad: 114, resample: 'nearest' }],
  ] as const)('%s, are the bytes that Pillow makes', async (name, own) => {
    const { buffer, shape } = await goldenMember(`${golden}/onnx.npz`, name);
    expect(shape).toEqual([names.length, 16, 16, 3]);
    for (const [i, file] of names.entries()) {
      const [picture] = await picturesOf(readFileSync(`${golden}/${file}`), file);
      const expected = new Uint8Array(buffer, i * 768, 768);
      expect(Buffer.from(inputOf(picture, inputAs(own), file)).equals(expected), file).toBe(true);
    }
  });
});

/** Values that tell their place: 10 · row + column, and the channel. */
const small: Pixels = {
  ...{ height: 2, width: 3, channels: 3 },
  values: Uint8Array.from({ length: 18 }, (_, i) => {
    return 10 * Math.floor(i / 9) + (Math.floor(i / 3) % 3) + 100 * (i % 3);
  }),
};
const same = { height: 2, width: 3 };

describe('the values of an input', () => {
  it('are in the layout and order of colours that the model has', () => {
    const ofBytes = (own: Partial<PixelInput>, colour: 'rgb' | 'bgr' = 'rgb') =>
      Array.from(inputOf(small, inputAs({ colour }, { ...same, ...own }), 'small'));
    const rows = [0, 1, 2, 10, 11, 12];
    expect(ofBytes({})).toEqual(rows.flatMap((v) => [v, v + 100, v + 200]));
    expect(ofBytes({}, 'bgr')).toEqual(rows.flatMap((v) => [v + 200, v + 100, v]));
    expect(ofBytes({ layout: 'nchw' })).toEqual(
      [0, 100, 200].flatMap((c) => rows.map((v) => v + c)),
    );
    const grey = ofBytes({ channels: 1 });
    expect(grey).toEqual(rows.map((v) => Math.round(v + 58.7 + 22.8 + 1e-9)));
  });

  it('are (pixel · scale − mean) / std in float32, by channel', () => {
    const mean = [0.485, 0.456, 0.406];
    const std = [0.229, 0.224, 0.225];
    const input = inputAs({ mean, std }, { ...same, type: 'float32' });
    const expected = Array.from(small.values, (pixel, i) => {
      return (pixel / 255 - mean[i % 3]) / std[i % 3];
    });
    const values = inputOf(small, input, 'small');
    expect(values).toBeInstanceOf(Float32Array);
    values.forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i], 5);
    });
    const ofPixels = inputAs({ scale: 1 }, { ...same, type: 'float32' });
    const plain = inputOf(small, ofPixels, 'small');
    expect(Array.from(plain)).toEqual(Array.from(small.values));
  });
});

it("a crop to a square is torchvision's of its side, unless another is named", () => {
  const sides = fc.integer({ min: 1, max: 60 });
  fc.assert(
    fc.property(sides, sides, fc.integer({ min: 1, max: 20 }), (height, width, side) => {
      const values = Uint8Array.from({ length: 3 * height * width }, (_, i) => (i * 37) % 251);
      const image: Pixels = { height, width, channels: 3, values };
      const square = { height: side, width: side };
      const named = inputAs({ resize: 'crop', shortest_edge: side }, square);
      const input = inputOf(image, inputAs({ resize: 'crop' }, square), 'x');
      expect(input).toEqual(inputOf(image, named, 'x'));
    }),
  );
});

it('a crop covers any size', () => {
  const sides = fc.integer({ min: 1, max: 60 });
  const sizes = fc.record({ height: sides, width: sides });
  fc.assert(
    fc.property(sizes, sizes, (from, to) => {
      const values = new Uint8Array(3 * from.height * from.width).fill(9);
      const input = inputOf({ ...from, channels: 3, values }, inputAs({ resize: 'crop' }, to), 'x');
      expect(input).toEqual(new Uint8Array(3 * to.height * to.width).fill(9));
    }),
  );
});

it.each([
  ['crop', { height: 2, width: 60_000 }],
  ['stretch', { height: 2 ** 23, width: 1 }],
] as const)('an image so long that a %s takes gigabytes is refused by name', (resize, size) => {
  const values = new Uint8Array(3 * size.height * size.width);
  const input = inputAs({ resize }, { height: 224, width: 224 });
  expect(() => inputOf({ ...size, channels: 3, values }, input, 'long.png')).toThrow(
    expect.objectContaining({
      code: 'source-unreadable',
      message: expect.stringMatching(/^capture: long\.png has \d+ × \d+ pixels/),
    }),
  );
});

it('an image is not turned by its EXIF', async () => {
  const rgb = { width: 3, height: 2, channels: 3 } as const;
  const raw = sharp(small.values, { raw: rgb });
  const [plain, turned] = await Promise.all([
    raw.clone().jpeg().toBuffer(),
    raw.clone().withMetadata({ orientation: 6 }).jpeg().toBuffer(),
  ]);
  expect(turned.includes('Exif')).toBe(true);
  expect(await picturesOf(turned, 'x')).toEqual(await picturesOf(plain, 'x'));
});

it('an image of one colour stays so in any size, and within its bytes', () => {
  const sides = fc.integer({ min: 1, max: 40 });
  const sizes = fc.record({ height: sides, width: sides });
  const how = fc.constantFrom('nearest', 'bilinear', 'bicubic' as const);
  fc.assert(
    fc.property(sizes, sizes, fc.nat(255), how, (from, to, value, resample) => {
      const values = new Uint8Array(from.height * from.width * 3).fill(value);
      const resized = resizeImage({ ...from, channels: 3, values }, to, resample as 'nearest');
      expect(resized.values).toEqual(new Uint8Array(to.height * to.width * 3).fill(value));
    }),
  );
});

describe('arrays', () => {
  it('are a picture, a grey one, or several', async () => {
    const flat = Uint8Array.from({ length: 12 }, (_, i) => i);
    const grey = await picturesOf(npy('|u1', [3, 4], flat), 'grey.npy');
    expect(grey).toMatchObject([{ height: 3, width: 4, channels: 3 }]);
    expect(Array.from(grey[0].values.subarray(0, 6))).toEqual([0, 0, 0, 1, 1, 1]);
    const crops = await picturesOf(npy('|u1', [2, 1, 2, 3], flat), 'crops.npy');
    expect(crops.map(({ values }) => Array.from(values))).toEqual([
      [0, 1, 2, 3, 4, 5],
      [6, 7, 8, 9, 10, 11],
    ]);
  });

  it.each([
    ['<f4', [3, 1]],
    ['|u1', [3, 2, 2]],
    ['|u1', [12]],
  ])('of %s %j are refused', async (type, shape) => {
    await expect(picturesOf(npy(type, shape, new Uint8Array(12)), 'x.npy')).rejects.toMatchObject({
      code: 'source-unreadable',
      message: expect.stringContaining('x.npy holds'),
    });
  });
});

describe('what cannot be decoded is refused with its name', () => {
  const jpeg = readFileSync(`${golden}/images/4.jpg`);
  const png = readFileSync(`${golden}/images/3.png`);
  it.each([
    ['a cut JPEG', jpeg.subarray(0, jpeg.length - 100)],
    ['a cut PNG', png.subarray(0, png.length - 100)],
    ['text', Buffer.from('no image at all')],
    ['nothing', Buffer.alloc(0)],
    ['SVG', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')],
  ])('%s', async (_, bytes) => {
    await expect(picturesOf(bytes, 'x.jpg')).rejects.toMatchObject({
      code: 'source-unreadable',
      message: expect.stringMatching(/^capture: x\.jpg cannot be decoded \(/),
    });
  });
});
