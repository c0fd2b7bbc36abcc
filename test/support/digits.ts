/** Real digits, a teacher's logits of views of them, and the files that a build of them reads. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { sha256Hex } from '../../src/formats/canonical.ts';
import { goldenMember } from './golden-npz.ts';

const golden = 'test/golden/vision/digits.npz';
export const views = 4;

export interface Digits {
  /** 96 images of 8 × 8 pixels. */
  readonly images: readonly Uint8Array[];
  readonly labels: Int32Array;
  /** Of each view of each image. */
  readonly seeds: BigUint64Array;
  readonly shifts: Int32Array;
  /** What `source` of a build says. */
  readonly source: Record<string, unknown>;
}

const member = async (name: string) => (await goldenMember(golden, name)).buffer;

/** Writes images, their list and the description of the pipeline to a folder. */
export async function writeDigits(folder: string): Promise<Digits> {
  const pixels = new Uint8Array(await member('images'));
  const labels = new Int32Array(await member('labels'));
  const seeds = new BigUint64Array(await member('seeds'));
  const shifts = new Int32Array(await member('shifts'));
  mkdirSync(join(folder, 'images'), { recursive: true });
  const images = Array.from(labels, (_, i) => pixels.slice(64 * i, 64 * (i + 1)));
  const lines = images.map((image, i) => {
    const file = join(folder, 'images', `${i}.pgm`);
    const bytes = Buffer.concat([Buffer.from('P5 8 8 16\n'), image]);
    writeFileSync(file, bytes);
    const own = Array.from({ length: views }, (_, view) => views * i + view);
    return JSON.stringify({
      uri: pathToFileURL(file).href,
      sha256: sha256Hex(bytes),
      hard_label: own.map(() => labels[i]),
      seed: own.map((at) => String(seeds[at])),
      params: { dy: own.map((at) => shifts[2 * at]), dx: own.map((at) => shifts[2 * at + 1]) },
      meta: { digit: labels[i] },
    });
  });
  writeFileSync(join(folder, 'images.jsonl'), `${lines.join('\n')}\n`);
  const pipeline = { name: 'shift', parameters: { dy: 'int32', dx: 'int32' } };
  writeFileSync(join(folder, 'pipeline.json'), JSON.stringify(pipeline));
  return {
    images,
    labels,
    seeds,
    shifts,
    source: {
      type: 'vision',
      images: join(folder, 'images.jsonl'),
      scores: `${golden}:logits`,
      pipeline: join(folder, 'pipeline.json'),
    },
  };
}
