/** Digests in typed arrays: a set, or a map to numbers, of 24 bytes an entry and room to grow. */

const keyWords = 4;
const loadMax = 0.7;

/** Keys are the first 16 bytes of digests, which are spread evenly by themselves. */
export class DigestTable {
  size = 0;
  #keys: Uint32Array;
  #values: Float64Array;

  constructor(capacity = 1024) {
    this.#keys = new Uint32Array(capacity * keyWords);
    this.#values = new Float64Array(capacity).fill(Number.NaN);
  }

  get(digest: Buffer): number | undefined {
    const value = this.#values[this.#find(wordsOf(digest))];
    return Number.isNaN(value) ? undefined : value;
  }

  /** False where the key was there already; its value is the new one then. */
  set(digest: Buffer, value = 0): boolean {
    if (this.size >= this.#values.length * loadMax) this.#grow();
    return this.#put(wordsOf(digest), value);
  }

  #put(words: Uint32Array, value: number): boolean {
    const at = this.#find(words);
    const isNew = Number.isNaN(this.#values[at]);
    if (isNew) this.size++;
    this.#keys.set(words, at * keyWords);
    this.#values[at] = value;
    return isNew;
  }

  /** Where the key is, or would be. */
  #find(words: Uint32Array): number {
    const last = this.#values.length - 1;
    for (let at = words[0] & last; ; at = (at + 1) & last) {
      if (Number.isNaN(this.#values[at])) return at;
      const from = at * keyWords;
      if (words.every((word, i) => word === this.#keys[from + i])) return at;
    }
  }

  #grow(): void {
    const [keys, values] = [this.#keys, this.#values];
    this.#keys = new Uint32Array(2 * keys.length);
    this.#values = new Float64Array(2 * values.length).fill(Number.NaN);
    this.size = 0;
    values.forEach((value, at) => {
      if (!Number.isNaN(value)) this.#put(keys.subarray(at * keyWords, (at + 1) * keyWords), value);
    });
  }
}

function wordsOf(digest: Buffer): Uint32Array {
  return Uint32Array.from({ length: keyWords }, (_, i) => digest.readUInt32LE(4 * i));
}
