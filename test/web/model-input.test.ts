/** Boxes of a model's input come to lie where the input took its pixels from. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { preprocess } from '../../schemas/preprocess.ts';
import { inputOf } from '../../src/capture/image-pixels.ts';
import type { Pixels } from '../../src/formats/image.ts';
import { onImage } from '../../web/src/samples/model-input.ts';

/** Pixels that tell their row, their column, and that they are of the image. */
function telling(height: number, width: number): Pixels {
  const values = Uint8Array.from({ length: 3 * height * width }, (_, i) => {
    const pixel = Math.floor(i / 3);
    return [Math.floor(pixel / width), pixel % width, 255][i % 3];
  });
  return { height, width, channels: 3, values };
}

const sides = fc.integer({ min: 1, max: 90 });
const resizes = fc.oneof(
  fc.constant({ resize: 'stretch' as const }),
  fc.constant({ resize: 'letterbox' as const }),
  fc.record({ resize: fc.constant('crop' as const) }),
  fc.record({ resize: fc.constant('crop' as const), shortest_edge: sides }),
);

it('each pixel of the input is found in the image', () => {
  fc.assert(
    fc.property(sides, sides, sides, sides, resizes, (height, width, down, across, resize) => {
      const size = { height: down, width: across };
      const own = preprocess.parse({
        ...resize,
        resample: 'nearest',
        ...(resize.resize === 'letterbox' && { pad: 0 }),
      });
      const input = {
        ...size,
        channels: 3,
        layout: 'nhwc',
        type: 'uint8',
        preprocess: own,
      } as const;
      const image = telling(height, width);
      const values = inputOf(image, input, 'x');
      const wrong: object[] = [];
      for (let y = 0; y < down; y++) {
        for (let x = 0; x < across; x++) {
          const [row, column, isImage] = values.subarray(3 * (y * across + x));
          const box = onImage({ x, y, width: 1, height: 1 }, image, { ...size, ...resize });
          const [mid, centre] = [box.y + box.height / 2, box.x + box.width / 2];
          const isInside = mid >= 0 && mid < height && centre >= 0 && centre < width;
          // a middle on the line between two pixels is of either
          const isThere = [mid - row, centre - column].every((at) => Math.abs(at - 0.5) < 0.5001);
          if (isImage > 0 !== isInside || (isInside && !isThere)) wrong.push({ x, y, mid, centre });
        }
      }
      expect(wrong).toEqual([]);
    }),
    { numRuns: 60 },
  );
});
