/** Images: what a crop and an anchor take, seeds, parameters, labels and boxes counted. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { builtSize } from './built-size.ts';
import { atMost, type Benchmark, type Figure, smaller } from './figure.ts';
import { type VisionInputs, writeAnchors, writeCrops } from './vision-inputs.ts';
import { studentFigures } from './vision-students.ts';

const crops = { images: 24, crops: 64 };
/** Bytes a crop as their papers' files have them: seed or box, and ten classes. */
const peer = { name: 'TinyViT', value: 44 };
const bytesMax = 30;
const klMax = 1e-3;
const halfBytes = 2;

export const vision: Benchmark = {
  name: 'vision',
  summary: 'images: bytes a crop and an anchor, seeds and boxes counted; what students gain',
  async *run(log) {
    for (const width of [1000, 21_841]) {
      log(`vision: crops of ${width} classes`);
      yield* cropSizes(width);
    }
    log('vision: anchors of 80 classes and background');
    yield* anchorSizes();
    yield* studentFigures(log);
  },
};

async function* cropSizes(width: number): AsyncGenerator<Figure> {
  const size = await sizeOf((folder) => writeCrops(folder, { width, ...crops }), {
    k: 10,
    solve: false,
  });
  const name = `synthetic crops, 64 an image, V=${width}, K=10`;
  const whole = { figure: `${name}: shards and indexes`, unit: 'B/crop', value: size.whole };
  const beside = { peer: peer.name, peerValue: peer.value, ratio: peer.value / size.whole };
  yield { ...atMost(whole.figure, whole.unit, size.whole, bytesMax), ...beside };
  yield atMost(`${name}: mean KL`, 'nats', size.kl, klMax);
}

async function* anchorSizes(): AsyncGenerator<Figure> {
  const size = await sizeOf((folder) => writeAnchors(folder, { images: 8 }), {
    k: 81,
    solve: true,
  });
  const name = 'synthetic anchors, 80 classes and background';
  const whole = { figure: `${name}: shards and indexes`, unit: 'B/anchor', value: size.whole };
  yield smaller(whole, { name: 'float16 scores', value: halfBytes * 81 }, 4);
  yield atMost(`${name}: mean KL`, 'nats', size.kl, klMax);
}

/** Solved on the first positions: the mean over all may be a little more. */
const klSolved = 9.5e-4;

async function sizeOf(
  write: (folder: string) => VisionInputs,
  { k, solve }: { k: number; solve: boolean },
) {
  const folder = mkdtempSync(join(tmpdir(), 'logitcask-vision-'));
  try {
    const { source } = write(folder);
    const budget = solve ? { max_kl: klSolved } : {};
    return await builtSize({ source, sparsifier: { type: 'top-k', k }, budget });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
