/** The compiled engine (kernel/row.ts), loaded once; where WASM SIMD is missing, the reference. */
import type { FloatType } from '../distribution/rows.ts';
import { floatOfHalf } from '../formats/float16.ts';
import { type Engine, type EngineOptions, strideOf } from './engine.ts';
import { compiled, instantiate, type Memory } from './module.ts';
import { referenceEngine } from './reference.ts';

/** Steps that the module exports as the engine has them, and where the rest lies. */
interface Exports
  extends Pick<Engine, 'sample' | 'nth' | 'pass' | 'select' | 'normalise' | 'scaledSum' | 'draw'> {
  readonly memory: Memory;
  setup(width: number, type: number, stride: number, k: number): void;
  getRow(): number;
  getIds(): number;
  getLogprobs(): number;
  getDrawn(): number;
  getTop(): number;
  getBelow(): number;
  getInside(): number;
  getOutside(): number;
}

const types: readonly FloatType[] = ['f32', 'f16', 'bf16'];
const module = compiled('row');

/** Which engine this process runs; `typescript` where its WebAssembly has no SIMD. */
export const engineName: Engine['name'] = module === undefined ? 'typescript' : 'wasm';

export function createEngine(options: EngineOptions): Engine {
  return module === undefined ? referenceEngine(options) : wasmEngine(module, options);
}

function wasmEngine(module: object, { width, type, k }: EngineOptions): Engine {
  const abort = () => {
    throw new RangeError(`kernel: no memory for a row of ${width} values and ${k} entries`);
  };
  const wasm = instantiate(module, { abort }) as Exports;
  wasm.setup(width, types.indexOf(type), strideOf(width), k);
  const { buffer } = wasm.memory; // it never grows again
  const { getTop, getBelow, getInside, getOutside } = wasm; // looked up for every row otherwise
  const row =
    type === 'f32'
      ? new Float32Array(buffer, wasm.getRow(), width)
      : new Uint16Array(buffer, wasm.getRow(), width);
  return {
    name: 'wasm',
    row,
    ids: new Uint32Array(buffer, wasm.getIds(), k),
    logprobs: new Float64Array(buffer, wasm.getLogprobs(), k),
    drawn: new Uint32Array(buffer, wasm.getDrawn(), k + 2),
    get top() {
      return getTop();
    },
    get below() {
      return getBelow();
    },
    get inside() {
      return getInside();
    },
    get outside() {
      return getOutside();
    },
    load(values, start) {
      if (values === row) return;
      row.set(values.subarray(start, start + width));
    },
    value: reader(row, type),
    sample: wasm.sample,
    nth: wasm.nth,
    pass: wasm.pass,
    select: wasm.select,
    normalise: wasm.normalise,
    scaledSum: wasm.scaledSum,
    draw: wasm.draw,
  };
}

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

function reader(row: Float32Array | Uint16Array, type: FloatType): Engine['value'] {
  if (type === 'f32') return (id) => row[id];
  if (type === 'f16') return (id) => floatOfHalf[row[id]];
  return (id) => {
    word[0] = row[id] << 16;
    return float[0];
  };
}
