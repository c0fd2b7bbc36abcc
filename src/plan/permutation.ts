/**
 * A keyed permutation of 0 … n−1 with random access and no stored order: a Feistel network with
 * cycle
 * walking. Below 2^16 items an explicit seeded Fisher–Yates shuffle, since small domains are
 * biased.
 * docs/plan.md gives the algorithm exactly; Python repeats it.
 */

/** Where index i of the order lies. */
export type Permutation = (index: number) => number;

const explicitMax = 2 ** 16;
const rounds = 10;

/** `key` is 32 bytes of SHA-256; n is at most 2^52, so that two halves stay exact in a double. */
export function permutation(key: Uint8Array, n: number): Permutation {
  return n < explicitMax ? shuffled(key, n) : feistel(key, n);
}

/** Bytes that the order of n items keeps in memory. */
export function permutationBytes(n: number): number {
  return n < explicitMax ? 4 * n : 64;
}

function words(key: Uint8Array): Uint32Array {
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
  return Uint32Array.from({ length: 8 }, (_, i) => view.getUint32(4 * i, true));
}

/** murmur3's finaliser. */
function mix(value: number): number {
  let x = value;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** Keyed 32-bit function of a counter: two mixes with four words of the key. */
function keyed(key: Uint32Array, counter: number, value: number): number {
  const a = mix(value ^ key[counter & 7]);
  return mix((a + key[(counter + 3) & 7] + Math.imul(counter, 0x9e3779b9)) | 0);
}

/**
 * Fisher–Yates from the end; each draw is a multiply-and-shift of 32 bits (bias below n / 2^32).
 */
function shuffled(key: Uint8Array, n: number): Permutation {
  const k = words(key);
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor((keyed(k, i, i) / 2 ** 32) * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return (index) => order[index];
}

/**
 * Left and right halves of ⌈bits / 2⌉ bits each (at most 26); values beyond n walk on along their
 * cycle: fewer than four steps on average.
 */
function feistel(key: Uint8Array, n: number): Permutation {
  const k = words(key);
  let bits = 0;
  while (2 ** bits < n) bits++;
  const half = Math.ceil(bits / 2);
  const size = 2 ** half;
  const once = (value: number): number => {
    let left = Math.floor(value / size);
    let right = value % size;
    for (let round = 0; round < rounds; round++) {
      const next = (left ^ (keyed(k, round, right) >>> (32 - half))) >>> 0;
      left = right;
      right = next;
    }
    return left * size + right;
  };
  return (index) => {
    let value = once(index);
    while (value >= n) value = once(value);
    return value;
  };
}
