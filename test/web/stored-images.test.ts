/** Images that are stored, as the console shows them: pixels, boxes over them, crops. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Locator, Page } from 'playwright-core';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { build } from '../../src/build.ts';
import { sha256Hex } from '../../src/formats/canonical.ts';
import { imagePath } from '../../src/shard/names.ts';
import { placesOf } from '../../web/src/samples/places.ts';
import type { ImageRow } from '../../web/src/types.ts';
import { faults } from '../support/axe.ts';
import { chromiumPath, type OpenOptions, useConsole } from '../support/console.ts';
import { configOf } from '../support/dump.ts';
import { detectorSource } from '../support/golden-vision.ts';
import { type ImageSample, png, writeImages } from '../support/images.ts';

const [width, height] = [60, 30];
const red = [220, 30, 30];
const green = [30, 160, 60];
const blue = [40, 60, 210];
const white = [250, 250, 250];

/** Quarters of red, green, blue and white, from the top left on. */
function quarters(): Buffer {
  const rgb = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [left, right] = y < height / 2 ? [red, green] : [blue, white];
      rgb.set(x < width / 2 ? left : right, 3 * (y * width + x));
    }
  }
  return png(width, height, rgb);
}

const bytes = quarters();
const boxes = [
  [0, 0, 30, 15],
  [30, 15, 60, 30],
  [20, 5, 20, 25],
];
const shares = boxes.map(([left, top, right, bottom]) => [
  left / width,
  top / height,
  right / width,
  bottom / height,
]);
/** As a camera that lies on its side writes it. */
const turned = () =>
  sharp(bytes).withMetadata({ orientation: 6 }).jpeg({ quality: 100 }).toBuffer();

/** Over red and green; then the same the other way round. */
const crops = { top: [2, 2], left: [20, 20], height: [10, 10], width: [20, 20], flip: [0, 1] };

async function fill(folder: string): Promise<void> {
  const description = {
    parameters: { top: 'uint16', left: 'uint16', height: 'uint16', width: 'uint16', flip: 'uint8' },
  };
  const pipeline = join(folder, 'pipeline.json');
  writeFileSync(pipeline, JSON.stringify(description));
  const make = (name: string, sample: ImageSample, more: Record<string, unknown> = {}) => {
    const { source } = writeImages(folder, name, { samples: [sample] });
    const classes = ['sky', 'cat', 'dog', 'bird'];
    const given = { ...source, classes, ...more };
    const config = configOf({ store: join(folder, 'store'), dataset: name, source: given });
    return build(config, { dataFolder: 'data' });
  };
  const anchors = { positions: 3, hard_label: [1, 2, 3] };
  await make('boxes', { bytes, ...anchors, geometry: boxes });
  await make('shares', { bytes, ...anchors, geometry: shares });
  await make('crops', { bytes, positions: 2, seed: [1, 2], params: crops }, { pipeline });
  await make('bare', { bytes, ...anchors, geometry: boxes }, { store_images: false });
  await make('turned', { bytes: await turned(), ...anchors, geometry: boxes });
  const { source } = writeImages(folder, 'model', { samples: [{ bytes, positions: 15 }] });
  const given = { ...detectorSource, images: source.images, store_images: true };
  const config = configOf({
    store: join(folder, 'store'),
    dataset: 'model',
    source: { ...given, preprocess: { resize: 'letterbox' } },
  });
  await build(config, { dataFolder: 'data' });
  await make('grey', { bytes: Buffer.from('P5 1 1 255\n0'), positions: 2 });
}

const places = (page: Page) => page.getByRole('group', { name: 'Positions of' }).locator('button');
const image = (page: Page) => page.getByRole('img', { name: 'Image, 60 × 30 pixels' });

/** The part of a canvas in a browser that is used here: tests know no page. */
interface Canvas {
  readonly width: number;
  readonly height: number;
  readonly ownerDocument: { createElement(tag: 'canvas'): Canvas };
  getContext(kind: '2d', options: { willReadFrequently: true }): Context;
}
interface Context {
  drawImage(from: Canvas, x: number, y: number): void;
  getImageData(x: number, y: number, width: 1, height: 1): { readonly data: Iterable<number> };
}

/** What a canvas shows at shares of its sides: read from a copy, as the page never reads its own. */
function colourAt(canvas: Locator, across: number, down: number): Promise<number[]> {
  return canvas.evaluate(
    (element: unknown, [x, y]) => {
      const own = element as Canvas;
      const copy = own.ownerDocument.createElement('canvas');
      const context = copy.getContext('2d', { willReadFrequently: true });
      context.drawImage(own, -Math.floor(x * own.width), -Math.floor(y * own.height));
      return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
    },
    [across, down],
  );
}

describe.skipIf(chromiumPath === undefined)('the sample browser, of stored images,', () => {
  const at = useConsole({ fill });
  const open = (dataset: string, options?: OpenOptions) =>
    at.open(`/datasets/${dataset}/snapshots/latest/samples?at=0`, options);

  it('shows the image, with its boxes where they belong', async () => {
    for (const dataset of ['boxes', 'shares']) {
      const page = await open(dataset);
      await image(page).waitFor();
      const corners = [
        await colourAt(image(page), 0.1, 0.1),
        await colourAt(image(page), 0.9, 0.1),
        await colourAt(image(page), 0.1, 0.9),
        await colourAt(image(page), 0.9, 0.9),
      ];
      expect(corners).toEqual([red, green, blue, white]);
      await places(page).nth(1).click();
      const drawing = page.getByRole('img', { name: 'Boxes of 3 positions' });
      const [scene, box] = [
        await image(page).boundingBox(),
        await drawing.locator('rect.chosen').boundingBox(),
      ];
      if (scene === null || box === null) throw new Error('nothing is drawn');
      // scaled to fit, and in the middle
      const scale = Math.min(scene.width / width, scene.height / height);
      const left = scene.x + (scene.width - scale * width) / 2;
      const top = scene.y + (scene.height - scale * height) / 2;
      const stroke = 3;
      expect(box.x + box.width / 2).toBeCloseTo(left + scale * 45, 0);
      expect(box.y + box.height / 2).toBeCloseTo(top + scale * 22.5, 0);
      expect(box.width - stroke).toBeCloseTo(scale * 30, 0);
      expect(box.height - stroke).toBeCloseTo(scale * 15, 0);
      const close = page.getByRole('img', { name: 'Position 1: its box' });
      expect(await colourAt(close, 0.5, 0.5)).toEqual(white);
      const unit = dataset === 'boxes' ? 'in pixels' : 'in shares of the image';
      await page.getByText(`read as left, top, right, bottom, ${unit}`).waitFor();
      await places(page).nth(2).click();
      expect(await page.getByRole('img', { name: 'its box' }).count()).toBe(0); // it has no area
    }
  });

  it('shows the rows of an image as they are stored, whatever its EXIF says', async () => {
    const page = await open('turned');
    await image(page).waitFor();
    const corners = [
      await colourAt(image(page), 0.9, 0.1),
      await colourAt(image(page), 0.1, 0.9),
    ].flat();
    [...green, ...blue].forEach((value, i) => {
      expect(Math.abs(corners[i] - value)).toBeLessThan(8);
    });
  });

  it('lays boxes of a model where its input, with a border, has them', async () => {
    const page = await open('model');
    await image(page).waitFor();
    await page.getByText('in pixels of the model’s input (40 × 24, letterbox)').waitFor();
    const rows = `/v1/datasets/model/snapshots/latest/rows?offset=0&length=1&columns=inputs`;
    const reply = await page.request.get(new URL(rows, page.url()).href);
    const [left, top, right, bottom] = (await reply.json()).rows[0].inputs.geometry[7];
    await places(page).nth(7).click();
    const rect = page.locator('rect.chosen');
    const found = ['x', 'y', 'width', 'height'].map((side) => rect.getAttribute(side));
    // two rows of border above, and below, an image of 40 × 20
    const expected = [left, top - 2, right - left, bottom - top].map((side) => 1.5 * side);
    (await Promise.all(found)).forEach((side, i) => {
      expect(Number(side)).toBeCloseTo(expected[i], 3);
    });
  });

  it('shows crops by their parameters, flipped as the teacher saw them', async () => {
    const page = await open('crops');
    await image(page).waitFor();
    const drawing = page.getByRole('img', { name: 'Crops of 2 positions' });
    expect(await drawing.getAttribute('viewBox')).toBe('0 0 60 30');
    const icons = places(page).locator('canvas');
    const sides = [
      [red, green],
      [green, red],
    ];
    for (const [i, [left, right]] of sides.entries()) {
      expect(await colourAt(icons.nth(i), 0.1, 0.5)).toEqual(left);
      expect(await colourAt(icons.nth(i), 0.9, 0.5)).toEqual(right);
      await places(page).nth(i).click();
      const name = i === 0 ? 'Position 0: its crop' : 'Position 1: its crop, flipped left to right';
      const close = page.getByRole('img', { name, exact: true });
      expect(await colourAt(close, 0.1, 0.5)).toEqual(left);
      expect(await colourAt(close, 0.9, 0.5)).toEqual(right);
    }
    const rect = drawing.locator('rect.chosen');
    const found = ['x', 'y', 'width', 'height'].map((side) => rect.getAttribute(side));
    expect(await Promise.all(found)).toEqual(['20', '2', '20', '10']);
  });

  it('is worked by the keyboard', async () => {
    const page = await open('boxes');
    await image(page).waitFor();
    await places(page).first().focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await page.getByRole('img', { name: 'Position 1: its box' }).waitFor();
    await page.getByRole('heading', { name: 'Position 1: dog' }).waitFor();
  });

  it('says where an image is not stored, or none that a browser draws', async () => {
    const bare = await open('bare');
    await bare.getByText('build with --store-images').waitFor();
    await bare.getByRole('img', { name: 'Boxes of 3 positions' }).waitFor();
    expect(await bare.locator('canvas').count()).toBe(0);
    const grey = await open('grey');
    await grey.getByText('The image is stored, but no PNG').waitFor();
  });

  it('says what the server does of one that is damaged', async () => {
    const path = imagePath('boxes', sha256Hex(bytes));
    await at.store.write(path, Buffer.from(bytes).fill(1, 40, 41));
    const page = await open('boxes', { status: 500 });
    await page.getByRole('alert').getByText('is not the image that the teacher saw').waitFor();
    await page.getByRole('img', { name: 'Boxes of 3 positions' }).waitFor();
    await at.store.write(path, bytes);
  });

  it('has no serious fault, light or dark', async () => {
    for (const dataset of ['boxes', 'crops', 'bare']) {
      const page = await open(dataset);
      await places(page).first().click();
      await page.getByRole('heading', { name: 'Position 0' }).waitFor();
      if (dataset !== 'bare') await page.getByRole('img', { name: 'Position 0' }).waitFor();
      expect(await faults(page), dataset).toEqual([]);
    }
  });
});

describe('places of an image', () => {
  const row = (inputs: ImageRow['inputs'], positions: number) =>
    ({ inputs, mask: new Array(positions).fill(true) }) as unknown as ImageRow;
  const size = { width, height };

  it('are pixels where any number goes beyond 1', () => {
    const one = placesOf(row({ geometry: [[0, 0, 1, 1]] }, 1), size);
    expect(one?.places[0]).toMatchObject({ x: 0, y: 0, width: 60, height: 30 });
    const two = placesOf(
      row(
        {
          geometry: [
            [0, 0, 1, 1],
            [0, 0, 2, 1],
          ],
        },
        2,
      ),
      size,
    );
    expect(two?.places[0]).toMatchObject({ width: 1, height: 1 });
  });

  it('are none of parameters that are of another image, or not all there', () => {
    const named = (more: Record<string, number[]>) => {
      const all = { top: [0], left: [1], width: [2], height: [3], ...more };
      const inputs = Object.entries(all).map(([name, values]) => [`augmentation_${name}`, values]);
      return placesOf(row(Object.fromEntries(inputs), 1), size);
    };
    const place = { x: 1, y: 0, width: 2, height: 3, flipped: false };
    expect(named({ from_width: [60], from_height: [30] })?.places).toEqual([place]);
    expect(named({ from_width: [30] })).toBeUndefined();
    expect(named({ width: [0] })).toBeUndefined();
    expect(placesOf(row({ augmentation_top: [1] }, 1), size)).toBeUndefined();
    expect(placesOf(row({}, 1), size)).toBeUndefined();
  });
});
