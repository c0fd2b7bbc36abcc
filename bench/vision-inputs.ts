/** Synthetic teachers of images: crops of a few confusable classes, anchors of little. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256Hex } from '../src/formats/canonical.ts';
import { toFloat16 } from '../src/formats/float16.ts';
import { bytesOf } from '../src/formats/layout.ts';

/** What a build reads, and how many positions it has. */
export interface VisionInputs {
  readonly source: Record<string, unknown>;
  readonly positions: number;
}

/** A small deterministic generator (mulberry32) and normal numbers of it. */
function numbers(seed: number) {
  let state = seed | 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal };
}

type Numbers = ReturnType<typeof numbers>;

/** NumPy's header of float16 [N, V]. */
function npyHalf(shape: readonly number[], values: Float32Array): Buffer {
  const text = `{'descr': '<f2', 'fortran_order': False, 'shape': (${shape.join(', ')}), }`;
  const head = Buffer.alloc(128, ' ');
  head.write('\x93NUMPY\x01\x00', 0, 'latin1');
  head.writeUInt16LE(118, 8);
  head.write(`${text.padEnd(117)}\n`, 10, 'latin1');
  return Buffer.concat([head, bytesOf(toFloat16(values))]);
}

/** RandomResizedCrop of a 500 × 375 image: area 8 to 100 %, aspect 3/4 to 4/3. */
function cropBox({ uniform }: Numbers) {
  const area = 500 * 375 * (0.08 + 0.92 * uniform());
  const aspect = Math.exp((2 * uniform() - 1) * Math.log(4 / 3));
  const width = Math.min(500, Math.round(Math.sqrt(area * aspect)));
  const height = Math.min(375, Math.round(Math.sqrt(area / aspect)));
  const left = Math.floor(uniform() * (501 - width));
  const top = Math.floor(uniform() * (376 - height));
  return { left, top, width, height };
}

/**
 * Crops of images: twenty classes stand out of the others, whose mass is a twentieth of the first
 * one's; the crops of an image differ by a standard deviation of 1 in each of them.
 */
export function writeCrops(
  folder: string,
  { width, images, crops }: { width: number; images: number; crops: number },
): VisionInputs {
  const random = numbers(17);
  const { uniform, normal } = random;
  const logits = new Float32Array(images * crops * width);
  const lines: string[] = [];
  for (let image = 0; image < images; image++) {
    const base = Float32Array.from({ length: width }, () => 1.2 * normal());
    for (let i = 0; i < 20; i++) {
      base[Math.floor(uniform() * width)] = Math.log(width) + 3 - i / 2 + normal();
    }
    for (let crop = 0; crop < crops; crop++) {
      const at = (image * crops + crop) * width;
      for (let id = 0; id < width; id++) {
        logits[at + id] = base[id] + (base[id] > 5 ? 1 : 0.7) * normal();
      }
    }
    const boxes = Array.from({ length: crops }, () => cropBox(random));
    lines.push(
      JSON.stringify({
        uri: `train/n01440764/n01440764_${image}.JPEG`,
        sha256: sha256Hex(String(image)),
        hard_label: image % width,
        seed: boxes.map(() => Math.floor(uniform() * 2 ** 32)),
        params: {
          left: boxes.map(({ left }) => left),
          top: boxes.map(({ top }) => top),
          width: boxes.map((box) => box.width),
          height: boxes.map(({ height }) => height),
          flip: boxes.map(() => uniform() < 0.5),
        },
      }),
    );
  }
  const parameters = {
    left: 'uint16',
    top: 'uint16',
    width: 'uint16',
    height: 'uint16',
    flip: 'uint8',
  };
  writeFileSync(join(folder, 'pipeline.json'), JSON.stringify({ parameters }));
  const pipeline = join(folder, 'pipeline.json');
  return write(folder, { lines, logits, width, more: { pipeline } });
}

/** A detector's anchors at strides 8, 16 and 32 of 320 × 320: 3 % see one of 80 classes. */
export function writeAnchors(folder: string, { images }: { images: number }): VisionInputs {
  const width = 81;
  const { uniform, normal } = numbers(23);
  const geometry = [8, 16, 32].flatMap((stride) => {
    const side = 320 / stride;
    return Array.from({ length: side * side }, (_, i) => {
      return [(i % side) + 0.5, Math.floor(i / side) + 0.5, 4, 4].map((value) => value * stride);
    });
  });
  const logits = new Float32Array(images * geometry.length * width);
  const lines: string[] = [];
  for (let image = 0; image < images; image++) {
    const labels: number[] = [];
    for (let anchor = 0; anchor < geometry.length; anchor++) {
      const at = (image * geometry.length + anchor) * width;
      const sees = uniform() < 0.03;
      const label = sees ? Math.floor(uniform() * 80) : 80;
      for (let id = 0; id < width; id++) logits[at + id] = 1.5 * normal();
      logits[at + 80] += sees ? 4 : 9;
      if (sees) logits[at + label] += 6;
      labels.push(label);
    }
    const uri = `train2017/${image}.jpg`;
    lines.push(JSON.stringify({ uri, sha256: sha256Hex(uri), hard_label: labels, geometry }));
  }
  return write(folder, { lines, logits, width, more: {} });
}

function write(
  folder: string,
  {
    lines,
    logits,
    width,
    more,
  }: { lines: readonly string[]; logits: Float32Array; width: number; more: object },
): VisionInputs {
  const positions = logits.length / width;
  const images = join(folder, 'images.jsonl');
  const scores = join(folder, 'scores.npy');
  writeFileSync(images, lines.join('\n'));
  writeFileSync(scores, npyHalf([positions, width], logits));
  return { source: { type: 'vision', images, scores, ...more }, positions };
}
