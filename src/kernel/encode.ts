/** The compiled encoder of targets (kernel/encode.ts), which says what lies where in its memory. */
import { type Targets, targetKinds } from '../distribution/targets.ts';
import { compiled, hold, instantiate, type Memory, pageBytes } from './module.ts';

export interface EncodeInput {
  readonly targets: Targets;
  /** The lowest float32 of each level. */
  readonly lowest: Float32Array;
  readonly step: number;
  readonly tau: number;
  /** The greatest level of an independent probability, or of what it leaves to 1. */
  readonly scoreMax: number;
}

export interface Encoded {
  readonly countWidth: number;
  readonly idPlanes: number;
  readonly entries: number;
  /** In the encoder's memory: it holds until the next call. */
  readonly raw: Uint8Array;
}

/** Undefined where it would take more memory than is kept: the reference's part. */
export type Encoder = (input: EncodeInput) => Encoded | undefined;

interface Exports {
  readonly memory: Memory;
  getControl(): number;
  layOut(positions: number, entries: number, positionMax: number, levels: number): number;
  run(kind: number, step: number, logTau: number, scoreMax: number): void;
}

const controlWords = 10;

/** An encoder with its own memory; undefined where WebAssembly has no SIMD. */
export function createEncoder(): Encoder | undefined {
  const module = compiled('encode');
  if (module === undefined) return undefined;
  const wasm = instantiate(module, Math) as Exports;
  let held: Float32Array | undefined; // in its memory: the same are not copied again
  return ({ targets, lowest, step, tau, scoreMax }) => {
    const { kind, count, offsets, ids, logprobs, rest } = targets;
    const pages = wasm.layOut(count, ids.length, positionMax(offsets), lowest.length);
    if (!hold(wasm.memory, pages * pageBytes)) return undefined;
    const { buffer } = wasm.memory;
    const control = new Uint32Array(buffer, wasm.getControl(), controlWords);
    const floats = new Float32Array(buffer);
    const words = new Uint32Array(buffer);
    if (lowest !== held) floats.set(lowest, control[0] / 4);
    held = lowest;
    words.set(offsets, control[1] / 4);
    words.set(ids, control[2] / 4);
    floats.set(logprobs, control[3] / 4);
    floats.set(rest, control[4] / 4);
    wasm.run(targetKinds.indexOf(kind), step, Math.log(tau), scoreMax);
    const [at, countWidth, idPlanes, entries, bytes] = control.subarray(5);
    return { countWidth, idPlanes, entries, raw: new Uint8Array(buffer, at, bytes) };
  };
}

/** Entries of the largest position. */
function positionMax(offsets: Uint32Array): number {
  let most = 0;
  for (let t = 1; t < offsets.length; t++) most = Math.max(most, offsets[t] - offsets[t - 1]);
  return most;
}
