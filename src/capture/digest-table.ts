/** Digests in typed arrays: a set, or a map to numbers, in little memory and with room to grow. */

const loadMax = 0.75;
const slotsFirst = 1024;

export interface DigestTableOptions {
  /** Slots to begin with, a power of two. */
  readonly slots?: number;
  /** Bytes of a digest that tell keys apart, in words of four: 4 by default. */
  readonly keyWords?: number;
  /** What the table may take; keys that are new once it is full are not taken up. */
  readonly bytesMax?: number;
}

/** Keys are the first bytes of digests, which are spread evenly by themselves. */
export class DigestTable {
  size = 0;
  readonly #keyWords: number;
  readonly #bytesMax: number;
  #keys: Uint32Array;
  /** NaN: free. */
  #values: Float64Array;

  constructor(options: DigestTableOptions = {}) {
    const { slots = slotsFirst, keyWords = 4, bytesMax = Number.POSITIVE_INFINITY } = options;
    this.#keyWords = keyWords;
    this.#bytesMax = bytesMax;
    this.#keys = new Uint32Array(slots * keyWords);
    this.#values = new Float64Array(slots).fill(Number.NaN);
  }

  get(digest: Buffer): number | undefined {
    const value = this.#values[this.#find(this.#wordsOf(digest))];
    return Number.isNaN(value) ? undefined : value;
  }

  /** False where the key was there already, whose value is the new one then, or is not taken up. */
  set(digest: Buffer, value = 0): boolean {
    const words = this.#wordsOf(digest);
    if (this.size >= this.#values.length * loadMax && !this.#grow()) {
      if (Number.isNaN(this.#values[this.#find(words)])) return false;
    }
    return this.#put(words, value);
  }

  #put(words: Uint32Array, value: number): boolean {
    const at = this.#find(words);
    const isNew = Number.isNaN(this.#values[at]);
    if (isNew) this.size++;
    this.#keys.set(words, at * this.#keyWords);
    this.#values[at] = value;
    return isNew;
  }

  /** Where the key is, or would be. */
  #find(words: Uint32Array): number {
    const last = this.#values.length - 1;
    let at = words[0] & last;
    while (!Number.isNaN(this.#values[at]) && !this.#holds(at, words)) at = (at + 1) & last;
    return at;
  }

  #holds(at: number, words: Uint32Array): boolean {
    const from = at * this.#keyWords;
    for (let i = 0; i < words.length; i++) if (this.#keys[from + i] !== words[i]) return false;
    return true;
  }

  /** False where there is no room for twice as many. */
  #grow(): boolean {
    const [keys, values] = [this.#keys, this.#values];
    if (2 * (keys.byteLength + values.byteLength) > this.#bytesMax) return false;
    this.#keys = new Uint32Array(2 * keys.length);
    this.#values = new Float64Array(2 * values.length).fill(Number.NaN);
    this.size = 0;
    for (let at = 0; at < values.length; at++) {
      if (Number.isNaN(values[at])) continue;
      this.#put(keys.subarray(at * this.#keyWords, (at + 1) * this.#keyWords), values[at]);
    }
    return true;
  }

  #wordsOf(digest: Buffer): Uint32Array {
    const words = new Uint32Array(this.#keyWords);
    for (let i = 0; i < words.length; i++) words[i] = digest.readUInt32LE(4 * i);
    return words;
  }
}
