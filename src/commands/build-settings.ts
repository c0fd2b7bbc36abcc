/** The flags of a build, by what they are about: other verbs take some of them. */
import type { TextSetting } from '../config.ts';
import { type Setting, storeSetting } from './settings.ts';

/** Where the snapshot goes. */
export const placeSettings: readonly Setting[] = [
  storeSetting,
  { flag: '--dataset <name>', path: 'dataset', about: 'name of the data set' },
  { flag: '--tag <name>', path: 'tag', about: 'tag that will point at the snapshot' },
];

/** What list files do not say of themselves. */
export const listSettings: readonly Setting[] = [
  { flag: '--layout <name>', path: 'source.layout', about: 'lists: their keys (docs/import.md)' },
  {
    flag: '--aligned <how>',
    path: 'source.aligned',
    about: 'lists: logits (list t predicts token t + 1) or tokens (its own token)',
  },
  { flag: '--vocabulary <n>', path: 'source.vocabulary', about: 'lists: size of the vocabulary' },
  { flag: '--tokenizer <file>', path: 'source.tokenizer', about: 'tokenizer.json of the teacher' },
];

/** How targets are kept. */
export const targetSettings: readonly Setting[] = [
  {
    flag: '--sparsifier <name>',
    path: 'sparsifier.type',
    about: 'what is kept: top-k, top-p or threshold (unbiased sampling)',
  },
  { flag: '--k <n>', path: 'sparsifier.k', about: 'top-k: entries kept at a position' },
  { flag: '--p <mass>', path: 'sparsifier.p', about: 'top-p: mass to keep' },
  { flag: '--floor <n>', path: 'sparsifier.floor', about: 'top-p: fewest entries of a position' },
  { flag: '--cap <n>', path: 'sparsifier.cap', about: 'top-p: most entries of a position' },
  {
    flag: '--tau <p>',
    path: 'sparsifier.tau',
    about: 'threshold: the least probability kept for sure',
  },
  {
    flag: '--codec <name>',
    path: 'codec.type',
    about: 'how targets are stored: planes, plain or raw',
  },
  { flag: '--format <name>', path: 'format', about: 'container: arrow, or parquet for SQL' },
  {
    flag: '--step <step>',
    path: 'codec.step',
    about: 'planes, plain: fine (KL ≤ 1e-4 at K=64), standard (≤ 1e-3) or a number',
  },
  { flag: '--max-kl <nats>', path: 'budget.max_kl', about: 'solve the step for this mean KL' },
  {
    flag: '--bytes-per-position <n>',
    path: 'budget.bytes_per_position',
    about: 'solve the step, or tau, for this size of the targets',
  },
  { flag: '--compression <name>', path: 'codec.compression', about: 'planes: zstd or lz4' },
];

/** Where distributions come from. */
export const sourceSettings: readonly Setting[] = [
  {
    flag: '--source <type>',
    path: 'source.type',
    about: 'teacher source: ngram, dump, lists, onnx, vllm, sglang, llama-cpp-python, vision',
  },
  {
    flag: '--logits <file>',
    path: 'source.logits',
    about: 'dump: .npy or .safetensors of logits [N, V], or .npz of top lists',
  },
  { flag: '--tokens <file>', path: 'source.tokens', about: 'dump: .npy of the N input ids' },
  { flag: '--next <file>', path: 'source.next', about: 'dump: .npy of the N true next ids' },
  {
    flag: '--lists <files>',
    path: 'source.lists',
    about: 'lists: files of top lists, JSON lines or Parquet, commas between',
  },
  {
    flag: '--images <file>',
    path: 'source.images',
    about: 'vision: JSON lines of images and their positions (docs/vision.md)',
  },
  {
    flag: '--scores <file>',
    path: 'source.scores',
    about: 'vision: .npy of scores [N, V], FILE.npz:MEMBER, or an output of --model',
  },
  {
    flag: '--normalisation <name>',
    path: 'source.normalisation',
    about: 'vision: softmax or sigmoid',
  },
  { flag: '--values <name>', path: 'source.values', about: 'vision: logits or probabilities' },
  {
    flag: '--pipeline <file>',
    path: 'source.pipeline',
    about: 'vision: description of the augmentation pipeline',
  },
  { flag: '--url <url>', path: 'source.url', about: 'vllm, sglang: http://host:port' },
  {
    flag: '--texts <files>',
    path: 'source.texts',
    about: 'onnx, vllm, sglang: JSON lines, Parquet or text to score, commas between',
  },
  {
    flag: '--model <name>',
    path: 'source.model',
    about: 'onnx, vision: model.onnx; vllm, sglang: name of the model',
  },
  { flag: '--top-k <n>', path: 'source.top_k', about: 'vllm, sglang: entries to ask for' },
  {
    flag: '--concurrency <n>',
    path: 'source.concurrency',
    about: 'vllm, sglang: most requests at a time',
  },
  ...listSettings,
  { flag: '--samples <n>', path: 'source.samples', about: 'most samples to score' },
  { flag: '--sample-length <n>', path: 'source.sample_length', about: 'positions of a sample' },
];

export const temperaturesSetting: Setting = {
  flag: '--temperatures <list>',
  path: 'temperatures',
  about: 'store exact normalisers for these too, e.g. 2,4',
};

export const buildSettings: readonly Setting[] = [
  ...placeSettings,
  ...sourceSettings,
  {
    flag: '--store-images',
    path: 'source.store_images',
    about: 'vision: copy the images into the store',
  },
  ...targetSettings,
  {
    flag: '--workers <n>',
    path: 'workers',
    about: 'threads that reduce rows; all cores by default',
  },
  temperaturesSetting,
];

/** A file of a source names its type. */
export function implied(flags: Readonly<Record<string, unknown>>): TextSetting[] {
  const types = { logits: 'dump', lists: 'lists', images: 'vision' };
  return Object.entries(types)
    .filter(([flag]) => flags[flag] !== undefined && flags.source === undefined)
    .map(([flag, text]) => ({ origin: `--${flag}`, path: 'source.type', text }));
}
