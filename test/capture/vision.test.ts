/** Lists of images that no build takes: each is refused with its line, and nothing is dropped. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { visionSource } from '../../schemas/build-config.ts';
import { openVisionSource } from '../../src/capture/vision.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-images-'));
  const header = "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }".padEnd(117);
  const magic = Buffer.from('\x93NUMPY\x01\x00\x76\x00', 'latin1');
  const npy = Buffer.concat([magic, Buffer.from(`${header}\n`), Buffer.alloc(4 * 3 * 4)]);
  writeFileSync(join(folder, 'scores.npy'), npy);
});
afterAll(() => rmSync(folder, { recursive: true }));

const image = { uri: 'file:///0.jpg', sha256: '0'.repeat(64) };
const whole = { ...image, hard_label: [0, 2], geometry: [0, 1, 2, 3].map((x) => [x, x, x, x]) };

/** Reads all of a list of images, beside scores of four positions. */
async function read(lines: readonly unknown[], pipeline?: unknown): Promise<number> {
  const [images, described] = ['images.jsonl', 'pipeline.json'].map((name) => join(folder, name));
  writeFileSync(images, lines.map((line) => JSON.stringify(line)).join('\n'));
  writeFileSync(described, JSON.stringify(pipeline ?? {}));
  const source = await openVisionSource(
    visionSource.parse({
      type: 'vision',
      images,
      scores: join(folder, 'scores.npy'),
      ...(pipeline === undefined ? {} : { pipeline: described }),
    }),
  );
  try {
    let count = 0;
    for await (const { rows } of source.chunks(0)) count += rows.count;
    return count;
  } finally {
    await source.close();
  }
}

const two = { ...image, positions: 2 };
const seeded = { ...two, seed: [1, 2] };
const crops = { parameters: { dx: 'int32' } };

it('lists in any order of their keys are read', async () => {
  const labelled = { hard_label: [1, 1], ...image };
  expect(await read([{ ...image, hard_label: [0, 2] }, labelled])).toBe(4);
  const boxes = { ...image, geometry: whole.geometry, positions: 4, mask: true, meta: { a: 1 } };
  expect(await read([boxes])).toBe(4);
  const crop = { ...seeded, params: { dx: [0, 1] } };
  expect(await read([crop, crop], crops)).toBe(4);
});

it.each([
  ['labels that the first line lacks', [two, { ...two, hard_label: [0, 1] }], undefined, 2],
  ['labels that a later line lacks', [{ ...two, hard_label: 1 }, two], undefined, 2],
  ['a mask that the first line lacks', [two, { ...two, mask: false }], undefined, 2],
  ['a key that is not known', [{ ...two, hard_labels: [0, 1] }, two], undefined, 1],
  ['parameters without a pipeline', [{ ...two, params: { dx: 1 } }, two], undefined, 1],
  ['a parameter that is not declared', [{ ...seeded, params: { dx: 1, dz: 1 } }, seeded], crops, 1],
  ['no parameter that is declared', [seeded, seeded], crops, 1],
  [
    'a number beyond float32',
    [{ ...image, geometry: [...whole.geometry.slice(1), [1e39, 0, 0, 0]] }],
    undefined,
    1,
  ],
])('%s are refused', async (_, lines, pipeline, line) => {
  await expect(read(lines, pipeline)).rejects.toMatchObject({
    code: 'source-unreadable',
    message: expect.stringContaining(`line ${line} of`),
  });
});

it('more positions than scores are refused before room is made for them', async () => {
  const got = { code: 'source-mismatch', expected: 4 };
  await expect(read([{ ...image, positions: 5e9 }])).rejects.toMatchObject({ ...got, got: 5e9 });
  await expect(read([two, two, two])).rejects.toMatchObject({ ...got, got: 6 });
});

it.each(['toString', 'float64', ['int32'], null])(
  'a parameter of type %o is refused',
  async (type) => {
    const refused = read([{ ...seeded, params: { dx: 1 } }], { parameters: { dx: type } });
    await expect(refused).rejects.toMatchObject({ code: 'source-unreadable' });
  },
);
