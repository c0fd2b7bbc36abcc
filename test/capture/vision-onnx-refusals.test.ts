/** Lists of images, models and preprocessing that do not fit: each is refused in words. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { allChunks } from '../contracts/source.ts';
import {
  classifierSource,
  detectorSource,
  goldenLines,
  goldenVision,
  imageList,
  visionSources,
} from '../support/golden-vision.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-vision-refusals-'));
const { sourceOf, close } = visionSources();
afterAll(async () => {
  await close();
  rmSync(folder, { recursive: true });
});

const sha256 = '0'.repeat(64);
const png = goldenLines[0].uri;

describe('lists and models are refused', () => {
  it.each([
    ['an image that is missing', [{ uri: 'none.png' }], 'source-unreadable', /image none\.png of/],
    [
      'a missing one with a digest',
      [{ uri: 'none.png', sha256 }],
      'source-unreadable',
      /none\.png/,
    ],
    ['a folder', [{ uri: 'images' }], 'source-unreadable', /image images of .* is no file/],
    ['an address elsewhere', [{ uri: 'http://x/a.png' }], 'source-unreadable', /no `file:`/],
    ['what is no image', [{ uri: 'images.jsonl' }], 'source-unreadable', /cannot be decoded/],
    ['a digest that is none', [{ uri: png, sha256: 'f' }], 'source-unreadable', /64 hex digits/],
    ['other positions', [{ uri: png, positions: 2 }], 'source-mismatch', /0\.png has 2 positions/],
    ['a label that is no class', [{ uri: png, hard_label: 10 }], 'token-out-of-range', /label 10/],
  ])('%s', async (name, lines, code, message) => {
    const images = imageList(join(folder, name.replaceAll(' ', '-')), lines);
    const read = async () => {
      const source = await sourceOf({ ...classifierSource, images });
      return allChunks(source.chunks(0));
    };
    await expect(read()).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it.each([
    ['another output', classifierSource, { scores: 'logit' }, 'config-invalid', /logit, only log/],
    ['names of too few', classifierSource, { classes: ['a'] }, 'config-invalid', /1 names for/],
    [
      'mean of one channel',
      classifierSource,
      { preprocess: { mean: [0] } },
      'config-invalid',
      /1 of mean or std for 3 channels/,
    ],
    [
      'another size',
      classifierSource,
      { preprocess: { size: [8, 8] } },
      'config-invalid',
      /16 × 16/,
    ],
    [
      'scale of bytes',
      classifierSource,
      { model: `${goldenVision}/classifier-bytes.onnx`, scores: 'probabilities' },
      'config-invalid',
      /takes bytes/,
    ],
    [
      'scores of parts',
      detectorSource,
      { scores: 'sides' },
      'teacher-unsuitable',
      /\[1, 15, 4, 6\]/,
    ],
    [
      'boxes of scores',
      detectorSource,
      { geometry: 'classes' },
      'teacher-unsuitable',
      /\[1, A, 4\]/,
    ],
    [
      'logits called probabilities',
      classifierSource,
      { values: 'probabilities' },
      'row-invalid',
      /logits of .* does not hold probabilities/,
    ],
    [
      'a text model',
      classifierSource,
      { model: 'bench/data/small-lm/model.int8.onnx' },
      'teacher-unsuitable',
      /export it for images/,
    ],
    ['no model', classifierSource, { model: 'none.onnx' }, 'source-unreadable', /none\.onnx/],
  ])('%s', async (_, source, change, code, message) => {
    await expect(sourceOf({ ...source, ...change })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it('boxes of the list beside those of the model', async () => {
    const images = imageList(join(folder, 'boxes'), [{ uri: png, geometry: [[0, 0, 1, 1]] }]);
    await expect(sourceOf({ ...detectorSource, images })).rejects.toMatchObject({
      code: 'config-invalid',
    });
  });
});
