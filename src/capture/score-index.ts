/** Where each scored sequence lies in its log: digests to offsets, in little memory. */

export interface ScoreIndex {
  readonly size: number;
  /** Of another sequence with the same 64 bits, too: compare the tokens. */
  get(key: string): number | undefined;
  set(key: string, offset: number): void;
}

const bytesOfSlot = 16;
const slotsFirst = 1024;
const fullest = 0.75;

/**
 * Takes 21–43 bytes a sequence, and 64 MiB at most: that is 3,145,728 of them. Later ones are not
 * taken up, so that a build that is resumed asks for them again. `key` is that of `sequenceKey`;
 * 64 bits of it are kept.
 */
export function createScoreIndex(bytesMax = 64 * 1024 * 1024): ScoreIndex {
  let keys = new Uint32Array(2 * slotsFirst);
  let offsets = new Float64Array(slotsFirst); // 0: free, since a log begins with its magic
  let size = 0;

  const slotOf = (high: number, low: number) => {
    const mask = offsets.length - 1;
    let slot = low & mask;
    while (offsets[slot] !== 0 && (keys[2 * slot] !== high || keys[2 * slot + 1] !== low)) {
      slot = (slot + 1) & mask;
    }
    return slot;
  };
  const put = (high: number, low: number, offset: number) => {
    const slot = slotOf(high, low);
    if (offsets[slot] === 0) size++;
    keys[2 * slot] = high;
    keys[2 * slot + 1] = low;
    offsets[slot] = offset;
  };
  const double = () => {
    const [ownKeys, ownOffsets] = [keys, offsets];
    keys = new Uint32Array(2 * ownKeys.length);
    offsets = new Float64Array(2 * ownOffsets.length);
    size = 0;
    for (let slot = 0; slot < ownOffsets.length; slot++) {
      if (ownOffsets[slot] !== 0) put(ownKeys[2 * slot], ownKeys[2 * slot + 1], ownOffsets[slot]);
    }
  };
  return {
    get size() {
      return size;
    },
    get(key) {
      const [high, low] = halvesOf(key);
      return offsets[slotOf(high, low)] || undefined;
    },
    set(key, offset) {
      const [high, low] = halvesOf(key);
      if (size >= fullest * offsets.length) {
        if (2 * offsets.length * bytesOfSlot <= bytesMax) double();
        else if (offsets[slotOf(high, low)] === 0) return;
      }
      put(high, low, offset);
    },
  };
}

function halvesOf(key: string): [high: number, low: number] {
  return [Number.parseInt(key.slice(0, 8), 16), Number.parseInt(key.slice(8, 16), 16)];
}
