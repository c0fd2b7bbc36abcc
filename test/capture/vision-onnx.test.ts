/** ONNX classifiers and detectors on the images themselves give what torch gives of them. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { preprocess } from '../../schemas/preprocess.ts';
import { picturesOf } from '../../src/capture/image-file.ts';
import { inputOf } from '../../src/capture/image-pixels.ts';
import type { Chunk } from '../../src/capture/source.ts';
import type { DenseRows } from '../../src/distribution/rows.ts';
import { sha256Hex } from '../../src/formats/canonical.ts';
import { allChunks } from '../contracts/source.ts';
import { npy } from '../support/dump.ts';
import {
  classifierSource,
  detectorSource,
  goldenLines,
  goldenVision,
  imageList,
  normalised,
  sides,
  torch,
  visionSources,
} from '../support/golden-vision.ts';
import { blackPixelsModel, meansModel } from '../support/onnx-image-model.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-vision-onnx-'));
const { sourceOf, close } = visionSources();
afterAll(async () => {
  await close();
  rmSync(folder, { recursive: true });
});

/** Rows of a head, all images one after the other. */
function rowsOf(chunks: readonly Chunk[], head = 0): number[] {
  const own = chunks.filter((chunk) => (chunk.head ?? 0) === head);
  return own.flatMap(({ rows }) => Array.from((rows as DenseRows).values));
}

function expectNear(got: readonly number[], expected: Float32Array, tolerance = 1e-4): void {
  expect(got.length).toBe(expected.length);
  const worst = got.reduce((most, x, i) => Math.max(most, Math.abs(x - expected[i])), 0);
  expect(worst).toBeLessThan(tolerance);
}

const floats = async (name: string) => new Float32Array((await torch(name)).buffer);

describe('a classifier', () => {
  it.each([
    ['stretch_logits', {}],
    ['crop_logits', { resize: 'crop', shortest_edge: 20, resample: 'bicubic' }],
    ['crop_bgr_logits', { resize: 'crop', shortest_edge: 20, resample: 'bicubic', colour: 'bgr' }],
    ['letterbox_logits', { resize: 'letterbox', resample: 'nearest' }],
  ])('has the %s that torch has behind Pillow', async (name, own) => {
    const preprocess = { ...normalised, ...own };
    const source = await sourceOf({ ...classifierSource, preprocess });
    expect(source.positions).toBe(goldenLines.length);
    expectNear(rowsOf(await allChunks(source.chunks(0))), await floats(name));
  });

  it('may take bytes [1, H, W, 3], and give probabilities', async () => {
    const model = `${goldenVision}/classifier-bytes.onnx`;
    const given = { scores: 'probabilities', values: 'probabilities', preprocess: undefined };
    const source = await sourceOf({ ...classifierSource, model, ...given });
    const logits = await floats('stretch_logits');
    const normal = logits.map((x, i) => {
      const row = logits.subarray(i - (i % 10), i - (i % 10) + 10);
      return x - Math.log(row.reduce((sum, y) => sum + Math.exp(y), 0));
    });
    expectNear(rowsOf(await allChunks(source.chunks(0))), normal, 1e-3);
  });

  it('sees the crops of an image that is an array', async () => {
    const { buffer } = await torch('stretch');
    const images = [0, 1].map((i) => new Uint8Array(buffer, i * 4 * 768, 4 * 768));
    const lines = images.map((crops, i) => {
      writeFileSync(join(folder, `crops${i}.npy`), npy('|u1', [4, 16, 16, 3], crops));
      return JSON.stringify({ uri: `crops${i}.npy`, positions: 4 });
    });
    writeFileSync(join(folder, 'crops.jsonl'), lines.join('\n'));
    const source = await sourceOf({ ...classifierSource, images: join(folder, 'crops.jsonl') });
    expect(source.positions).toBe(8);
    const chunks = await allChunks(source.chunks(0));
    expect(chunks.map(({ rows }) => rows.count)).toEqual([4, 4]);
    expectNear(rowsOf(chunks), (await floats('stretch_logits')).subarray(0, 80));
  });
});

describe('a model of float16 and any size', () => {
  const means = (name: string, more: object = {}) => {
    const model = join(folder, 'means.onnx');
    writeFileSync(model, meansModel());
    const lines = goldenLines.slice(0, 3).map(({ uri }) => ({ uri }));
    const images = imageList(join(folder, name), lines);
    return sourceOf({ type: 'vision', images, model, scores: 'scores', ...more });
  };

  it('takes the size that the preprocessing names', async () => {
    const own = preprocess.parse({ size: [5, 7], scale: 1 });
    const source = await means('sized', { preprocess: own });
    const input = { height: 5, width: 7, channels: 3, layout: 'nchw', type: 'float32' } as const;
    const expected: number[] = [];
    for (const { uri } of goldenLines.slice(0, 3)) {
      const [picture] = await picturesOf(readFileSync(join(goldenVision, uri)), uri);
      const values = Float32Array.from(inputOf(picture, { ...input, preprocess: own }, uri));
      for (const c of [0, 1, 2]) {
        expected.push(values.subarray(35 * c, 35 * c + 35).reduce((a, b) => a + b, 0) / 35);
      }
    }
    expectNear(rowsOf(await allChunks(source.chunks(0))), Float32Array.from(expected), 1e-3);
  });

  it('is refused without one', async () => {
    await expect(means('open')).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringMatching(/images of height × width, `preprocess\.size` is none/),
    });
  });

  it('has an image named whose scores are no probabilities', async () => {
    const given = { normalisation: 'sigmoid', values: 'probabilities' };
    const source = await means('sums', { preprocess: { size: [5, 7], scale: 1 }, ...given });
    await expect(allChunks(source.chunks(0))).rejects.toMatchObject({
      code: 'row-invalid',
      message: expect.stringMatching(/for images\/0\.png does not hold probabilities/),
    });
  });
});

describe('a model whose positions are those that it finds', () => {
  it.each([
    ['fewer of one', 1, /gives 3 of 4 for pixels\.npy, not 4 positions of 4 scores/],
    ['none of one', 4, /gives scores float32 \[1, 0, 4\]/],
  ])('is refused: %s', async (name, white, message) => {
    const model = join(folder, 'black.onnx');
    writeFileSync(model, blackPixelsModel());
    const images = join(folder, `${name}.jsonl`);
    writeFileSync(
      join(folder, 'pixels.npy'),
      npy('|u1', [2, 2], new Uint8Array(4).fill(255, 0, white)),
    );
    writeFileSync(images, JSON.stringify({ uri: 'pixels.npy' }));
    const source = await sourceOf({ type: 'vision', images, model, scores: 'scores' });
    expect(source.positions).toBe(4);
    await expect(allChunks(source.chunks(0))).rejects.toMatchObject({
      code: 'teacher-unsuitable',
      message: expect.stringMatching(message),
    });
  });
});

describe('a detector', () => {
  it('has the scores, the distributions of sides and the boxes of each anchor', async () => {
    const source = await sourceOf(detectorSource);
    expect(source.positions).toBe(15 * goldenLines.length);
    expect(source.vision?.heads.map(({ name }) => name)).toEqual(['teacher', ...sides]);
    expect(source.vision?.fields.map(({ name }) => name)).toEqual(['hard_label', 'geometry']);
    const chunks = await allChunks(source.chunks(0));
    expectNear(rowsOf(chunks), await floats('classes'));
    const all = await floats('sides');
    for (const [part] of sides.entries()) {
      const own = all.filter((_, i) => Math.floor(i / 6) % 4 === part);
      expectNear(rowsOf(chunks, 1 + part), own);
    }
    const boxes = chunks
      .filter(({ head }) => (head ?? 0) === 0)
      .flatMap(({ sample }) => {
        const bytes = new Uint8Array(sample.image?.values[1] ?? []);
        return Array.from(new Float32Array(bytes.buffer));
      });
    expectNear(boxes, await floats('boxes'), 1e-3);
  });
});

it('from any image on, the rest is that of the whole run, byte for byte', async () => {
  const source = await sourceOf(detectorSource);
  const described = ({ sample, rows, ...where }: Chunk) => {
    const values = Buffer.from((rows as DenseRows).values.slice().buffer).toString('hex');
    return { ordinal: sample.ordinal, image: sample.image, ...where, values };
  };
  const whole = (await allChunks(source.chunks(0))).map(described);
  for (let from = 1; from <= goldenLines.length; from++) {
    const rest = (await allChunks(source.chunks(from))).map(described);
    expect(rest).toEqual(whole.filter(({ ordinal }) => ordinal >= from));
  }
  for await (const _ of source.chunks(0)) break;
  const again = await sourceOf(detectorSource);
  expect([again.identity, again.inputs]).toEqual([source.identity, source.inputs]);
});

describe('what decides the scores', () => {
  it('is in the identity, and the images in the digest of the inputs', async () => {
    const first = await sourceOf(classifierSource);
    const revisions = [first.identity.revision];
    for (const change of [
      { preprocess: { ...normalised, resample: 'bicubic' } },
      { preprocess: undefined },
      { normalisation: 'sigmoid' },
      { classes: Array.from('0123456789') },
    ]) {
      const other = await sourceOf({ ...classifierSource, ...change });
      expect(other.inputs.digest).toBe(first.inputs.digest);
      revisions.push(other.identity.revision);
    }
    expect(new Set(revisions).size).toBe(5);
    expect(first.inputs.origin).toContain('"mean":[0.485,0.456,0.406]');
  });
});

const named = (name: string, more: (bytes: Buffer, i: number) => object = () => ({})) =>
  imageList(
    join(folder, name),
    goldenLines.slice(0, 3).map(({ uri }, i) => {
      return { uri, ...more(readFileSync(join(goldenVision, uri)), i) };
    }),
  );

describe('digests of images', () => {
  it('are taken of the files, or proved where the list has them', async () => {
    const without = await sourceOf({ ...classifierSource, images: named('without') });
    const given = named('with', (bytes) => ({ sha256: sha256Hex(bytes) }));
    const withThem = await sourceOf({ ...classifierSource, images: given });
    const [a, b] = await Promise.all(
      [without, withThem].map(async (source) =>
        (await allChunks(source.chunks(0))).map(({ sample }) =>
          JSON.parse(sample.image?.ref ?? ''),
        ),
      ),
    );
    expect(a.map(({ sha256 }) => sha256)).toEqual(b.map(({ sha256 }) => sha256));
    expect(a[0].uri).toBe(pathToFileURL(join(folder, 'without', goldenLines[0].uri)).href);
    expect(b[0].sha256).toBe(sha256Hex(readFileSync(join(goldenVision, goldenLines[0].uri))));
    const image = join(folder, 'without', goldenLines[1].uri);
    writeFileSync(image, readFileSync(join(goldenVision, goldenLines[4].uri)));
    const changed = await sourceOf({
      ...classifierSource,
      images: without.inputs.origin.split(/ |,/)[2],
    });
    expect(changed.inputs.digest).not.toBe(without.inputs.digest);
    // changed since the list was read
    await expect(allChunks(without.chunks(0))).rejects.toMatchObject({
      code: 'source-mismatch',
      message: expect.stringContaining(`image ${goldenLines[1].uri} of`),
    });
  });

  it('refuse an image that is another than the list says', async () => {
    const images = named('other', (bytes, i) => ({ sha256: sha256Hex(i === 2 ? 'x' : bytes) }));
    const source = await sourceOf({ ...classifierSource, images });
    await expect(allChunks(source.chunks(0))).rejects.toMatchObject({
      code: 'source-mismatch',
      expected: sha256Hex('x'),
      message: expect.stringContaining(`image ${goldenLines[2].uri} of ${images} has changed`),
    });
  });
});
