/** Text of the teaching benchmark: windows of tokens to train on, and others to be judged by. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { openTokenizer } from '../src/capture/tokenizer.ts';
import { writeIds } from './inputs.ts';

const root = new URL('../../', import.meta.url).pathname;
const smallLmFolder = join(root, 'bench', 'data', 'small-lm');
export const teacherModel = join(smallLmFolder, 'model.f16.safetensors');

/** The teacher's context: a window is a sample. */
export const windowLength = 256;
export const trainWindows = 320;
const testWindows = 64;
/** Every such chapter is held out. */
const heldOut = 10;

/** Writes `train.npy` and `test.npy`, windows joined: evenly spread over the King James Version. */
export function writeWindows(folder: string): { train: string; test: string } {
  const file = join(smallLmFolder, 'tokenizer.json');
  const tokenizer = openTokenizer(readFileSync(file), file);
  const text = gunzipSync(readFileSync(join(root, 'data', 'kjv.txt.gz'))).toString();
  const chapters = text.split('\n\n').filter((chapter) => chapter.trim() !== '');
  const idsOf = (chapter: string) => [tokenizer.separator ?? 0, ...tokenizer.encode(chapter)];
  const isTest = (i: number) => i % heldOut === heldOut - 1;
  const files = { train: join(folder, 'train.npy'), test: join(folder, 'test.npy') };
  const of = (held: boolean) => chapters.filter((_, i) => isTest(i) === held).flatMap(idsOf);
  writeIds(files.train, spread(of(false), trainWindows));
  writeIds(files.test, spread(of(true), testWindows));
  return files;
}

function spread(ids: readonly number[], count: number): Int32Array {
  const windows = Math.floor(ids.length / windowLength);
  const starts = Array.from({ length: count }, (_, i) => Math.floor((i * windows) / count));
  return Int32Array.from(
    starts.flatMap((start) => ids.slice(start * windowLength, (start + 1) * windowLength)),
  );
}
