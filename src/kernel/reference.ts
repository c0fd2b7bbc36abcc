/** The plain TypeScript engine: what a faster one must equal; runs where WASM SIMD is missing. */
import { floatOfHalf } from '../formats/float16.ts';
import {
  blockLength,
  type Engine,
  type EngineOptions,
  exponentMin,
  laneCount,
  log2e,
  magic,
  narrow,
  strideOf,
  wide,
  wideExponentMin,
} from './engine.ts';

const { fround } = Math;
const [c0, c1, c2, c3, c4] = narrow;
const [d0, d1, d2, d3, d4, d5, d6, d7] = wide;
const wideMagic = 1.5 * 2 ** 52;
const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);
/** 2^n, made from its exponent. */
const power = new Float64Array(1);
const exponent = new Uint32Array(power.buffer); // little-endian

/** 2^n from n = −127, where it is 0 as float32's exponent says, to 127. */
const scales = Float32Array.from({ length: 255 }, (_, i) => (i === 0 ? 0 : 2 ** (i - 127)));

/** 2^((x − shift) · factor), every operation rounded to float32. */
function narrowPower(x: number, shift: number, factor: number): number {
  let t = fround(fround(x - shift) * factor);
  if (t < exponentMin) t = exponentMin; // NaN stays
  const n = fround(fround(t + magic) - magic);
  const g = fround(t - n);
  let r = fround(fround(c4 * g) + c3);
  r = fround(fround(r * g) + c2);
  r = fround(fround(r * g) + c1);
  r = fround(fround(r * g) + c0);
  return fround(r * scales[n - exponentMin]);
}

/** e^(x − shift) in float64. */
function widePower(x: number, shift: number): number {
  const t = (x - shift) * Math.LOG2E;
  if (t < wideExponentMin) return 0;
  const n = t + wideMagic - wideMagic;
  const g = t - n;
  const high = ((d7 * g + d6) * g + d5) * g + d4;
  exponent[1] = (n + 1023) << 20;
  return ((((high * g + d3) * g + d2) * g + d1) * g + d0) * power[0];
}

function blockSum(lanes: Float32Array): number {
  const h = (j: number) =>
    fround(fround(lanes[j] + lanes[4 + j]) + fround(lanes[8 + j] + lanes[12 + j]));
  return h(0) + h(1) + (h(2) + h(3));
}

/** Float bits in order-preserving form; −0 and 0 are equal values. */
function orderOf(x: number): number {
  float[0] = x + 0;
  return (bits[0] & 0x80000000 ? ~bits[0] : bits[0] | 0x80000000) >>> 0;
}

class Reference implements Engine {
  readonly name = 'typescript';
  readonly row: Float32Array | Uint16Array;
  readonly ids: Uint32Array;
  readonly logprobs: Float64Array;
  readonly drawn: Uint32Array;
  top = 0;
  below = 0;
  inside = 0;
  outside = 0;
  readonly #type: EngineOptions['type'];
  readonly #row: Float32Array;
  readonly #sampled: Float32Array;
  readonly #stride: number;
  readonly #blocks: Float64Array;
  /** Ids that reached the threshold, ascending; their keys are order-preserving bits, then ~id. */
  readonly #found: Uint32Array;
  readonly #keys: BigUint64Array;
  readonly #words: Uint32Array;
  #count = 0;
  #kept = 0;
  #threshold = 0;
  #shift = 0;

  constructor({ width, type, k }: EngineOptions) {
    this.#type = type;
    this.ids = new Uint32Array(k);
    this.logprobs = new Float64Array(k);
    this.drawn = new Uint32Array(k + 2);
    this.#row = new Float32Array(width);
    this.row = type === 'f32' ? this.#row : new Uint16Array(width);
    this.#stride = strideOf(width);
    this.#sampled = new Float32Array(Math.ceil(width / this.#stride));
    this.#blocks = new Float64Array(Math.ceil(width / blockLength));
    this.#found = new Uint32Array(width);
    this.#keys = new BigUint64Array(width);
    this.#words = new Uint32Array(this.#keys.buffer); // little-endian: low word first
  }

  load(values: Float32Array | Uint16Array, start: number): void {
    const row = this.#row;
    if (this.#type === 'f32') {
      if (values !== row) row.set(values.subarray(start, start + row.length));
    } else if (this.#type === 'f16') {
      for (let i = 0; i < row.length; i++) row[i] = floatOfHalf[values[start + i]];
    } else {
      const words = new Uint32Array(row.buffer);
      for (let i = 0; i < row.length; i++) words[i] = values[start + i] << 16;
    }
  }

  readonly value = (id: number): number => this.#row[id];

  sample(): number {
    let max = Number.NEGATIVE_INFINITY;
    for (let i = 0, id = 0; id < this.#row.length; i++, id += this.#stride) {
      const x = this.#row[id];
      this.#sampled[i] = x;
      max = Math.max(max, x); // NaN stays
    }
    this.#sampled.sort();
    return max;
  }

  nth(rank: number): number {
    return this.#sampled[this.#sampled.length - rank];
  }

  pass(threshold: number, shift: number): number {
    const row = this.#row;
    const lanes = new Float32Array(laneCount);
    this.#threshold = threshold;
    this.#shift = shift;
    this.#count = 0;
    this.top = Number.NEGATIVE_INFINITY;
    this.below = 0;
    for (let block = 0, from = 0; from < row.length; block++, from += blockLength) {
      const to = Math.min(row.length, from + blockLength);
      lanes.fill(0);
      for (let i = from; i < to; i++) {
        const x = row[i];
        if (x >= threshold) {
          if (x === Number.NEGATIVE_INFINITY) continue;
          this.#found[this.#count++] = i;
          if (x > this.top) this.top = x;
        } else {
          const lane = i & (laneCount - 1);
          lanes[lane] += narrowPower(x, shift, log2e);
        }
      }
      this.#blocks[block] = blockSum(lanes);
      this.below += this.#blocks[block];
    }
    return this.#count;
  }

  select(k: number): number {
    const count = this.#count;
    for (let i = 0; i < count; i++) {
      this.#words[2 * i] = ~this.#found[i];
      this.#words[2 * i + 1] = orderOf(this.#row[this.#found[i]]);
    }
    this.#keys.subarray(0, count).sort();
    this.#kept = Math.min(k, count);
    for (let i = 0; i < this.#kept; i++) this.ids[i] = ~this.#words[2 * (count - 1 - i)];
    this.inside = 0;
    this.outside = 0;
    for (let i = 0; i < count; i++) {
      const id = this.#found[i];
      const e = widePower(this.#row[id], this.#shift);
      if (this.#behind(id, this.#kept)) this.outside += e;
      else this.inside += e;
    }
    return this.#kept;
  }

  normalise(logTotal: number): void {
    for (let i = 0; i < this.#kept; i++) {
      this.logprobs[i] = this.#row[this.ids[i]] - this.#shift - logTotal;
    }
  }

  /** Whether an id ranks behind the first `head` entries. */
  #behind(id: number, head: number): boolean {
    if (head === 0) return true;
    const last = this.ids[head - 1];
    const [x, bound] = [this.#row[id], this.#row[last]];
    return x < bound || (x === bound && id > last);
  }

  scaledSum(shift: number, factor: number): number {
    const row = this.#row;
    const lanes = new Float32Array(laneCount);
    let sum = 0;
    for (let from = 0; from < row.length; from += blockLength) {
      const to = Math.min(row.length, from + blockLength);
      lanes.fill(0);
      for (let i = from; i < to; i++) {
        const lane = i & (laneCount - 1);
        lanes[lane] += narrowPower(row[i], shift, factor);
      }
      sum += blockSum(lanes);
    }
    return sum;
  }

  draw(head: number, unit: number, start: number): number {
    let count = 0;
    let sum = 0;
    let next = start * unit;
    const take = (id: number, e: number) => {
      if (!(next < sum) || e === 0 || count === this.drawn.length) return;
      this.drawn[count++] = id;
      next = (start + count) * unit;
    };
    for (let i = 0; i < this.#count; i++) {
      const id = this.#found[i];
      if (!this.#behind(id, head)) continue;
      const e = widePower(this.#row[id], this.#shift);
      sum += e;
      take(id, e);
    }
    for (let block = 0; block < this.#blocks.length; block++) {
      const after = sum + this.#blocks[block];
      if (next < after) {
        const to = Math.min(this.#row.length, (block + 1) * blockLength);
        for (let id = block * blockLength; id < to; id++) {
          const x = this.#row[id];
          if (x >= this.#threshold) continue;
          const e = narrowPower(x, this.#shift, log2e);
          sum += e;
          take(id, e);
        }
      }
      sum = after;
    }
    return count;
  }
}

export function referenceEngine(options: EngineOptions): Engine {
  return new Reference(options);
}
