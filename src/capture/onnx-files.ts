/** The files of an ONNX model: its graph, and the weights beside it. */
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { digestOf } from '../formats/canonical.ts';
import { digestOfFile, readInput } from './input-file.ts';

export interface OnnxFiles {
  readonly bytes: number;
  /** SHA-256 (hex): of the file, or over all of them. */
  readonly digest: string;
  /** Activations are quantised by the range of a whole run: its tokens change each other a bit. */
  readonly isDynamic: boolean;
}

/** Weights lie in `model.onnx_data`, `model.onnx.data`. Throws `source-unreadable`. */
export async function onnxFiles(model: string): Promise<OnnxFiles> {
  const [folder, name] = [dirname(model), basename(model)];
  const all = await readdir(folder).catch(() => []);
  const endings = all
    .filter((other) => other.startsWith(name))
    .map((other) => other.slice(name.length))
    .filter((ending) => /^([._].*)?$/.test(ending))
    .sort();
  if (!endings.includes('')) await readInput(model); // says why
  const digests: Record<string, string> = {};
  let bytes = 0;
  for (const ending of endings) {
    const file = join(folder, name + ending);
    bytes += (await stat(file)).size;
    digests[ending] = await digestOfFile(file);
  }
  const digest = endings.length === 1 ? digests[''] : digestOf(digests);
  return { bytes, digest, isDynamic: await holds(model, 'DynamicQuantize') };
}

async function holds(file: string, word: string): Promise<boolean> {
  let before = Buffer.alloc(0);
  for await (const piece of createReadStream(file, { highWaterMark: 1024 * 1024 })) {
    const bytes = Buffer.concat([before, piece]);
    if (bytes.includes(word)) return true;
    before = bytes.subarray(-word.length);
  }
  return false;
}
