/** Where lies what is built beside the program: files for threads, kernels, the console. */

/** dist/src/, also where this file is run as it is written. */
const folder = new URL(import.meta.url.endsWith('.ts') ? '../dist/src/' : './', import.meta.url);

export type ThreadName =
  | 'audit'
  | 'build'
  | 'convert'
  | 'onnx-session'
  | 'pack-texts'
  | 'read-reply'
  | 'vision-onnx-session';

/** A module with all that it imports in one file, which a thread loads in a third of the time. */
export function threadFile(name: ThreadName): string {
  return new URL(`thread-${name}.js`, folder).href;
}

export type KernelName = 'row' | 'decode' | 'encode';

export const kernelFile = (name: KernelName) => new URL(`${name}.wasm`, folder);

export const builtWebFolder = new URL('../web/', folder);
