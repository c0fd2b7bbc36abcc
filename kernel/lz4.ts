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
  for (let i: usize = 0; i < bytes; i += 16) v128.store(to + i, v128.load(from + i));
}

/** Repeats what lies `offset` < 16 bytes before `to`, by a multiple of it that fills a vector. */
function repeat(to: usize, offset: usize, bytes: usize): void {
  let period = offset;
  while (period < 16) period += offset;
  for (let i: usize = 0; i < period; i++) store<u8>(to + i, load<u8>(to + i - offset));
  if (bytes > period) copyVectors(to, to + period, bytes - period);
}

/** Whether a block gives exactly `size` bytes at `to`; 32 more are free there. */
export function inflate(from: usize, bytes: usize, to: usize, size: usize): bool {
  const end = from + bytes;
  const last = to + size;
  let at = to;
  while (from < end) {
    const token = <usize>load<u8>(from++);
    let literals = token >>> 4;
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
    const offset = <usize>load<u16>(from);
    from += 2;
    let length = token & 15;
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
