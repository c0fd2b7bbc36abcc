import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { build } from '../../src/build.ts';
import { sha256Hex } from '../../src/formats/canonical.ts';
import { boxesOf } from '../../web/src/samples/boxes.ts';
import type { ImageRow } from '../../web/src/types.ts';
import { chromiumPath, useConsole } from '../support/console.ts';
import { writeDigits } from '../support/digits.ts';
import { configOf, npy, random } from '../support/dump.ts';

const digitNames = Array.from({ length: 10 }, (_, digit) => `digit ${digit}`);
const objects = ['sky', 'cat', 'dog', 'bird', 'fish', 'tree'];
const boxes = [
  [0, 0, 40, 30],
  [10, 5, 20, 25],
  [60, 10, 100, 50],
];

/** Data sets `digits`, crops of real images, and `boxes`, anchors with a head of sigmoid scores. */
async function fill(folder: string): Promise<void> {
  const store = join(folder, 'store');
  const { source } = await writeDigits(folder);
  const options = { dataFolder: 'data' };
  const digits = { ...source, classes: digitNames };
  await build(configOf({ store, dataset: 'digits', source: digits }), options);
  const next = random(5);
  const scores = (name: string, classes: number) => {
    const values = Float32Array.from({ length: 6 * classes }, () => 8 * next() - 4);
    const path = join(folder, `${name}.npy`);
    writeFileSync(path, npy('<f4', [6, classes], new Uint8Array(values.buffer)));
    return path;
  };
  const lines = ['a', 'b'].map((name) =>
    JSON.stringify({
      uri: `s3://bucket/${name}.jpg`,
      sha256: sha256Hex(Buffer.from(name)),
      geometry: boxes,
      hard_label: [1, -100, 2],
      mask: [true, false, true],
    }),
  );
  const images = join(folder, 'boxes.jsonl');
  writeFileSync(images, `${lines.join('\n')}\n`);
  const head = { name: 'objects', scores: scores('objects', 5), normalisation: 'sigmoid' };
  const detector = {
    type: 'vision',
    images,
    scores: scores('classes', objects.length),
    classes: objects,
    heads: [head],
  };
  await build(configOf({ store, dataset: 'boxes', source: detector }), options);
}

const places = (page: Page) => page.getByRole('group', { name: 'Positions of' }).locator('button');

describe.skipIf(chromiumPath === undefined)('the sample browser, of images,', () => {
  const at = useConsole({ fill });
  const path = (dataset: string, more = '') =>
    `/datasets/${dataset}/snapshots/latest/samples?at=0${more}`;
  const rowOf = async (dataset: string) => {
    const columns = 'image,inputs,targets';
    const rows = `/v1/datasets/${dataset}/snapshots/latest/rows?length=1&columns=${columns}`;
    const reply = (await (await fetch(`${at.url}${rows}`)).json()) as { rows: ImageRow[] };
    return reply.rows[0];
  };

  it('shows crops: their image, class, seed and distribution by class names', async () => {
    const { image, inputs, targets } = await rowOf('digits');
    const page = await at.open(path('digits'));
    for (const text of [image.uri, image.sha256]) await page.getByText(text).waitFor();
    const button = places(page).nth(1);
    const digit = `digit ${inputs.hard_label[1]}`;
    const text = `1: ${digit}, seed ${inputs.augmentation_seed[1]}, dy `;
    expect(await button.textContent()).toContain(text);
    expect(await button.getAttribute('data-heat')).toMatch(/^[0-5]$/);
    expect(await button.getAttribute('aria-label')).toMatch(/position 1, entropy [\d.e-]+ nats/);
    await button.click();
    const shown = page.getByRole('region', { name: 'Stored distribution' });
    await shown.getByRole('heading', { name: `Position 1: ${digit}` }).waitFor();
    const { counts, ids, probs } = targets.teacher;
    const own = [counts[0], counts[0] + counts[1]];
    const best = Math.max(...probs.slice(...own));
    const name = digitNames[ids.slice(...own)[probs.slice(...own).indexOf(best)]];
    const first = shown.locator('tbody tr').first();
    expect(await first.locator('th').textContent()).toContain(name);
    expect(Number(await first.locator('td').first().textContent())).toBeCloseTo(best, 2);
    const label = shown.locator('tbody tr').filter({ hasText: '✓ hard label' });
    expect(await label.locator('th').textContent()).toContain(digit);
    expect(await page.locator('svg').count()).toBe(0);
  });

  it('draws anchors as boxes, the chosen one marked', async () => {
    const page = await at.open(path('boxes'));
    const texts = await places(page).allTextContents();
    expect(texts).toEqual([
      '0: cat, box 0 0 40 30',
      '1: no label, box 10 5 20 25',
      '2: dog, box 60 10 100 50',
    ]);
    expect(await places(page).nth(1).getAttribute('aria-label')).toContain('masked');
    const drawing = page.getByRole('img', { name: 'Boxes of 3 positions' });
    expect(await drawing.getAttribute('viewBox')).toBe('0 0 100 50');
    expect(await drawing.locator('rect').count()).toBe(3);
    await places(page).nth(2).click();
    await page.getByRole('heading', { name: 'Position 2: dog' }).waitFor();
    const chosen = drawing.locator('rect.chosen');
    const sides = ['x', 'y', 'width', 'height'].map((name) => chosen.getAttribute(name));
    expect(await Promise.all(sides)).toEqual(['60', '10', '40', '40']);
    expect(await page.getByText('rest: not stored').count()).toBe(1);
  });

  it('shows scores of classes of their own, without a rest', async () => {
    const page = await at.open(path('boxes', '&set=objects'));
    await places(page).first().click();
    const shown = page.getByRole('region', { name: 'Stored distribution' });
    await shown.getByText('Scores, each a probability of its own').waitFor();
    expect(await shown.textContent()).toContain('of 5. ');
    expect(await shown.getByText('#0').count()).toBe(1);
    expect(await shown.getByText('rest: not stored').count()).toBe(0);
    expect(await shown.getByText('Weights').count()).toBe(0);
    expect(await shown.getByText('hard label').count()).toBe(0);
  });

  it('has names by the classes of a set, and none beyond them', async () => {
    const api = `${at.url}/v1/datasets/boxes/snapshots/latest/tokens`;
    const of = async (query: string) => (await fetch(`${api}?${query}`)).json();
    expect(await of('ids=2,0')).toEqual({ texts: ['dog', 'sky'] });
    expect(await of('ids=4&set=objects')).toEqual({ texts: [null] });
    expect(await of('ids=5&set=objects')).toMatchObject({ code: 'token-out-of-range' });
    expect(await of('ids=5&set=none')).toMatchObject({ code: 'request-invalid', got: 'none' });
  });
});

describe('boxes', () => {
  it('are corners where all can be, else a corner and a size', () => {
    expect(boxesOf([[1, 2, 4, 8]]).boxes).toEqual([{ x: 1, y: 2, width: 3, height: 6 }]);
    const sizes = [
      [1, 2, 4, 8],
      [5, 5, 2, 1],
    ];
    expect(boxesOf(sizes).boxes[0]).toEqual({ x: 1, y: 2, width: 4, height: 8 });
  });
});
