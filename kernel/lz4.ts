/**
 * LZ4 blocks, read strictly: what ends otherwise than every encoder ends it is refused, and is the
 * host's library to judge. Copies go by whole vectors: up to 15 bytes more are read and written.
 */

/** A length whose four bits are 15 goes on in bytes; above `most` where they end, or if it is. */
let lengthEnd: usize = 0;

function lengthFrom(at: usize, end: usize, most: usize): usize {
  let length: usize = 15;
  while (at < end && length <= most) {
    const more = load<u8>(at++);
    length += more;
    if (more == 255) continue;
    lengthEnd = at;
    return length;
  }
  return most + 1;
}

// @ts-ignore: decorator
@inline
function copyVectors(from: usize, to: usize, bytes: usize): void {
  v128.store(to, v128.load(from));
  for (let i: usize = 16; i < bytes; i += 16) v128.store(to + i, v128.load(from + i));
}

/** For offsets below 16: where a vector that repeats it takes its bytes, and how far it goes. */
const repeats: usize = memory.data(16 * 16, 16);
const strides: usize = memory.data(16);
for (let offset: usize = 1; offset < 16; offset++) {
  for (let i: usize = 0; i < 16; i++) store<u8>(repeats + 16 * offset + i, i % offset);
  store<u8>(strides + offset, 16 - (16 % offset));
}

/** Repeats what lies `offset` < 16 bytes before `to`. */
// @ts-ignore: decorator
@inline
function repeat(to: usize, offset: usize, bytes: usize): void {
  const before = v128.load(to - offset);
  const vector = i8x16.swizzle(before, v128.load(repeats + 16 * offset));
  const stride = <usize>load<u8>(strides + offset);
  for (let i: usize = 0; i < bytes; i += stride) v128.store(to + i, vector);
}

/** Away from the ends a sequence with lengths of four bits needs no other checks. */
const INPUT_LEFT: usize = 16;
const OUTPUT_LEFT: usize = 64;

/** Whether a block gives exactly `size` bytes at `to`; 32 more are free there. */
export function inflate(from: usize, bytes: usize, to: usize, size: usize): bool {
  const end = from + bytes;
  const last = to + size;
  let at = to;
  while (from < end) {
    const token = <usize>load<u8>(from++);
    let literals = token >>> 4;
    let length = token & 15;
    if (literals < 15 && end - from >= INPUT_LEFT && last - at >= OUTPUT_LEFT) {
      v128.store(at, v128.load(from));
      from += literals;
      at += literals;
      const offset = <usize>load<u16>(from);
      if (length < 15 && offset >= 16 && offset <= at - to) {
        const match = at - offset;
        v128.store(at, v128.load(match));
        store<u16>(at, load<u16>(match, 16), 16);
        from += 2;
        at += length + 4;
        continue;
      }
    } else {
      if (literals == 15) {
        literals = lengthFrom(from, end, size);
        from = lengthEnd;
      }
      if (literals > last - at || literals > end - from) return false;
      copyVectors(from, at, literals);
      from += literals;
      at += literals;
      if (from == end) return at == last;
      // matches begin 12 bytes before the end at the latest, and leave 5 to literals
      if (last - at < 12 || end - from < 2) return false;
    }
    const offset = <usize>load<u16>(from);
    from += 2;
    if (length == 15) {
      length = lengthFrom(from, end, size);
      from = lengthEnd;
    }
    length += 4;
    if (offset == 0 || offset > at - to || length > last - at - 5) return false;
    if (offset < 16) repeat(at, offset, length);
    else copyVectors(at - offset, at, length);
    at += length;
  }
  return false;
}
