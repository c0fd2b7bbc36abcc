/** The golden images and models of test/golden/vision, and sources over them. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { visionSource } from '../../schemas/build-config.ts';
import type { Source } from '../../src/capture/source.ts';
import { openVisionSource } from '../../src/capture/vision.ts';
import { goldenMember } from './golden-npz.ts';

export const goldenVision = resolve('test/golden/vision');
export const torch = (name: string) => goldenMember(`${goldenVision}/onnx.npz`, name);

/** Lines of the golden list: paths from its folder, and labels. */
export const goldenLines: readonly { uri: string; hard_label: number }[] = readFileSync(
  `${goldenVision}/images.jsonl`,
  'utf8',
)
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line));

/** As the training of the classifier normalised. */
export const normalised = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

export const classifierSource = {
  type: 'vision',
  images: `${goldenVision}/images.jsonl`,
  model: `${goldenVision}/classifier.onnx`,
  scores: 'logits',
  preprocess: normalised,
};

export const sides = ['left', 'top', 'right', 'bottom'];

/** The list has a label an image, which then stands for all anchors. */
export const detectorSource = {
  type: 'vision',
  images: `${goldenVision}/images.jsonl`,
  model: `${goldenVision}/detector.onnx`,
  scores: 'classes',
  heads: [{ name: 'box', scores: 'sides', parts: sides }],
  geometry: 'boxes',
};

/** A folder with copies of the first images, and a list. */
export function imageList(folder: string, lines: readonly object[]): string {
  mkdirSync(join(folder, 'images'), { recursive: true });
  for (const { uri } of goldenLines.slice(0, 3)) {
    writeFileSync(join(folder, uri), readFileSync(join(goldenVision, uri)));
  }
  const file = join(folder, 'images.jsonl');
  writeFileSync(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  return file;
}

/** Opens sources, and closes all that it opened. */
export function visionSources() {
  const open: Source[] = [];
  return {
    async sourceOf(given: object): Promise<Source> {
      const source = await openVisionSource(visionSource.parse(given));
      open.push(source);
      return source;
    },
    async close(): Promise<void> {
      for (const source of open) await source.close();
    },
  };
}
