/** Uniform numbers that a rebuild draws again: one stream a position, keyed by the sample's id. */

export interface PositionStream {
  /** Goes to the start of a position's stream. */
  seek(position: number): void;
  /** In [0, 1), a multiple of 2^−32. */
  next(): number;
}

/** Rounds after which the whole key has reached every bit that is given out. */
const warmUp = 15;

/** sfc32 (Doty-Humphrey's small fast counter), its counter offset by the position. */
export function positionStream(sampleId: Uint8Array): PositionStream {
  const view = new DataView(sampleId.buffer, sampleId.byteOffset, sampleId.byteLength);
  const key = [0, 4, 8, 12].map((at) => view.getInt32(at, true));
  let [a, b, c, counter] = key;
  const step = (): number => {
    const out = (a + b + counter++) | 0;
    counter |= 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + out) | 0;
    return out;
  };
  return {
    seek(position) {
      [a, b, c] = key;
      counter = (key[3] + Math.imul(position, 0x9e3779b1)) | 0;
      for (let i = 0; i < warmUp; i++) step();
    },
    next: () => (step() >>> 0) / 2 ** 32,
  };
}
