/** The compiled decoder of frames (kernel/decode.ts), which says what lies where in its memory. */
import { keepFreed } from '../formats/off-heap.ts';
import { compiled, hold, instantiate, type Memory, pageBytes } from './module.ts';

export interface DecodeInput {
  /** A frame with a checked header, and its LZ4 block or the raw one. */
  readonly parts: readonly Uint8Array[];
  readonly maxId: number;
  /** Positions to decode; all by default. */
  readonly chosen?: Uint32Array;
  readonly wanted: 'values' | 'integers';
}

/** Arrays of their own memory; those not wanted are empty. */
export interface Decoded {
  /** Where the entries of each position begin. */
  readonly offsets: Uint32Array;
  readonly masses: Float32Array;
  readonly rests: Uint16Array;
  readonly ids: Uint32Array;
  readonly levels: Uint16Array;
  readonly probs: Float32Array;
}

/** Undefined for what is damaged, or too large to be kept memory for: the reference's part. */
export type Decoder = (input: DecodeInput) => Decoded | undefined;

interface Exports {
  readonly memory: Memory;
  getControl(): number;
  getMasses(): number;
  getInput(): number;
  run(): number;
}

const flags = { values: 1, integers: 2 } as const;
const chosenFlag = 4;
const controlWords = 16;

const filled = (bytes: number) => Math.ceil(bytes / 16) * 16;

/**
 * A decoder with its own memory; undefined where WebAssembly has no SIMD. What a `lends` one gives
 * lies in that memory, and holds until its next call.
 */
export function createDecoder(restMass: Float32Array, { lends = false } = {}): Decoder | undefined {
  const module = compiled('decode');
  if (module === undefined) return undefined;
  const wasm = instantiate(module) as Exports;
  new Float32Array(wasm.memory.buffer, wasm.getMasses()).set(restMass);
  const inputAt = wasm.getInput();
  return ({ parts, maxId, chosen, wanted }) => {
    const chosenAt = inputAt + filled(parts.reduce((sum, { length }) => sum + length, 0));
    if (!hold(wasm.memory, chosenAt + 4 * (chosen?.length ?? 0))) return undefined;
    const bytes = new Uint8Array(wasm.memory.buffer);
    let at = inputAt;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    if (chosen !== undefined) new Uint32Array(bytes.buffer, chosenAt).set(chosen);
    const what = flags[wanted] | (chosen === undefined ? 0 : chosenFlag);
    controlOf(wasm).set([1, what, maxId, chosen?.length ?? 0]);
    for (let pages = wasm.run(); pages !== 0; pages = wasm.run()) {
      if (pages < 0 || !hold(wasm.memory, pages * pageBytes)) return undefined;
    }
    return resultOf(wasm, wanted, lends);
  };
}

const controlOf = (wasm: Exports) =>
  new Uint32Array(wasm.memory.buffer, wasm.getControl(), controlWords);

/** One copy of all that was written, or views. */
function resultOf(wasm: Exports, wanted: DecodeInput['wanted'], lends: boolean): Decoded {
  const [positions, entries, ...at] = controlOf(wasm).subarray(controlWords / 2);
  const [n, m] = wanted === 'values' ? [positions, entries] : [0, 0];
  const [first, , , , levelsAt, probsAt] = at;
  const to = wanted === 'values' ? probsAt + 4 * m : levelsAt + 2 * entries;
  const from = lends ? 0 : first;
  const buffer = lends ? wasm.memory.buffer : copyOf(wasm.memory, from, to);
  const [offsets, masses, rests, ids, levels, probs] = at.map((address) => address - from);
  return {
    offsets: new Uint32Array(buffer, offsets, positions + 1),
    masses: new Float32Array(buffer, masses, n),
    rests: new Uint16Array(buffer, rests, positions - n),
    ids: new Uint32Array(buffer, ids, entries),
    levels: new Uint16Array(buffer, levels, entries - m),
    probs: new Float32Array(buffer, wanted === 'values' ? probs : 0, m),
  };
}

function copyOf(memory: Memory, from: number, to: number): ArrayBuffer {
  keepFreed();
  const copy = Buffer.allocUnsafeSlow(to - from); // every byte is written
  copy.set(new Uint8Array(memory.buffer, from, to - from));
  return copy.buffer;
}
