/** An ONNX model as a teacher: a whole build beside what the model's session alone produces. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { buildConfig } from '../schemas/build-config.ts';
import { build } from '../src/build.ts';
import { textSamples } from '../src/capture/text-samples.ts';
import { openTokenizer } from '../src/capture/tokenizer.ts';
import { type Figure, median, spread } from './figure.ts';
import { folder } from './inputs.ts';

const rounds = 3;
const wanted = 0.7;
/** Every so many chapters are scored: 357,000 positions, so that opening is a small part. */
const everyChapters = 3;
const sampleLength = 256;
const root = new URL('../../', import.meta.url).pathname;
const smallLm = join(root, 'bench', 'data', 'small-lm');
const model = join(smallLm, 'model.int8.onnx');
const tokenizerFile = join(smallLm, 'tokenizer.json');
const cores = availableParallelism();

function writeTexts(): string {
  mkdirSync(folder, { recursive: true });
  const text = gunzipSync(readFileSync(join(root, 'data', 'kjv.txt.gz'))).toString();
  const chapters = text.split('\n\n').filter((_, i) => i % everyChapters === 0);
  const file = join(folder, 'onnx-texts.txt');
  writeFileSync(file, chapters.join('\n\n'));
  return file;
}

/** Positions a second of one session that has all cores, a sample at a time. */
async function alone(session: InferenceSession, samples: readonly BigInt64Array[]) {
  const started = performance.now();
  let positions = 0;
  for (const ids of samples) {
    const { logits } = await session.run({ ids: new Tensor('int64', ids, [1, ids.length]) });
    positions += logits.dims[1];
  }
  return (1000 * positions) / (performance.now() - started);
}

/** Positions a second from the texts to a snapshot on disk, all that a build does included. */
async function built(texts: string) {
  const store = join(folder, 'onnx-store');
  rmSync(store, { recursive: true, force: true });
  const source = { type: 'onnx', model, tokenizer: tokenizerFile, texts: [texts] };
  const config = buildConfig.parse({ store, source: { ...source, sample_length: sampleLength } });
  const { positions, elapsed } = await build(config, { dataFolder: join(root, 'data') });
  return positions / elapsed;
}

export async function* onnx(log: (text: string) => void): AsyncGenerator<Figure> {
  const texts = writeTexts();
  const tokenizer = openTokenizer(readFileSync(tokenizerFile), tokenizerFile);
  const samples: BigInt64Array[] = [];
  for await (const { tokens } of textSamples([texts], { tokenizer, sampleLength })) {
    samples.push(BigInt64Array.from(tokens, BigInt));
  }
  const session = await InferenceSession.create(model, { intraOpNumThreads: cores });
  await alone(session, samples.slice(0, 20));
  const own: number[] = [];
  const peer: number[] = [];
  for (let round = 0; round < rounds; round++) {
    log(`ONNX, round ${round + 1} of ${rounds}`);
    peer.push(await alone(session, samples));
    own.push(await built(texts));
  }
  const ratios = own.map((value, i) => value / peer[i]);
  const positions = samples.reduce((sum, { length }) => sum + length, 0);
  yield {
    figure:
      `ONNX to threshold targets on disk, ${positions.toLocaleString('en')} positions, ` +
      `${cores} cores (${spread(own)}; ratio ${spread(ratios)})`,
    unit: 'positions/s',
    value: median(own),
    peer: `the session alone, ${cores} threads (${spread(peer)})`,
    peerValue: median(peer),
    ratio: median(ratios),
    reach: `≥ ${wanted} ×`,
    ok: median(ratios) >= wanted,
  };
}
