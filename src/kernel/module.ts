/** The compiled modules of kernel/: nothing of them runs where WebAssembly has no SIMD. */
import { readFileSync } from 'node:fs';
import { type KernelName, kernelFile } from '../built.ts';

/** What is used of it here: Node's own types leave it to those of browsers. */
declare const WebAssembly: {
  validate(bytes: Uint8Array): boolean;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: object };
};

export interface Memory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

export const pageBytes = 65_536;

/** Most memory that an instance keeps. */
const bytesMax = 64 * 1024 * 1024;

/** Grows memory to `bytes`; false where that is more than is kept. */
export function hold(memory: Memory, bytes: number): boolean {
  const missing = Math.ceil((bytes - memory.buffer.byteLength) / pageBytes);
  if (missing > 0 && bytes <= bytesMax) memory.grow(missing);
  return bytes <= memory.buffer.byteLength;
}

/** A module of kernel/, or undefined where this process cannot run it. */
export function compiled(name: KernelName): object | undefined {
  const bytes = readFileSync(kernelFile(name));
  return WebAssembly.validate(bytes) ? new WebAssembly.Module(bytes) : undefined;
}

export function instantiate(module: object, env: object = {}): object {
  return new WebAssembly.Instance(module, { env }).exports;
}
