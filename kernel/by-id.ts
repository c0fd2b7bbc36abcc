/**
 * Sorts the entries of a position by id, u64 each: id, level. A stable pass for each digit of the
 * ids, the least first.
 */

const DIGIT_BITS: u32 = 9; // two digits reach any usual vocabulary's ids
const DIGITS: usize = 1 << DIGIT_BITS;
const MASK: u64 = DIGITS - 1;

/** Of the counts of the two low digits, which are counted together, and of another. */
export const COUNTS_BYTES: usize = 3 * 4 * DIGITS;
const SECOND: usize = 4 * DIGITS;
const OTHER: usize = 2 * SECOND;

// @ts-ignore: decorator
@inline
function digitOf(entry: u64, shift: u64): usize {
  return <usize>((entry >> (32 + shift)) & MASK) << 2;
}

// @ts-ignore: decorator
@inline
function countOne(at: usize): void {
  store<u32>(at, load<u32>(at) + 1);
}

/** Turns counts into where each digit's entries begin. */
function addUp(counts: usize): void {
  let sum: u32 = 0;
  for (let at = counts; at < counts + 4 * DIGITS; at += 4) {
    const own = load<u32>(at);
    store<u32>(at, sum);
    sum += own;
  }
}

function scatter(from: usize, end: usize, to: usize, counts: usize, shift: u64): void {
  addUp(counts);
  for (let at = from; at < end; at += 8) {
    const entry = load<u64>(at);
    const next = counts + digitOf(entry, shift);
    const place = load<u32>(next);
    store<u32>(next, place + 1);
    store<u64>(to + 8 * <usize>place, entry);
  }
}

/** Sorts what lies from `from` to `end` by id, there or from `spare` on: returns where. */
export function sortById(from: usize, end: usize, spare: usize, counts: usize): usize {
  memory.fill(counts, 0, 2 * SECOND);
  let all: u64 = 0;
  for (let at = from; at < end; at += 8) {
    const entry = load<u64>(at);
    all |= entry;
    countOne(counts + digitOf(entry, 0));
    countOne(counts + SECOND + digitOf(entry, DIGIT_BITS));
  }
  const bytes = end - from;
  const ids = all >> 32;
  for (let shift: u64 = 0; shift < 32 && ids >> shift > 0; shift += DIGIT_BITS) {
    let own = counts + (shift == 0 ? 0 : SECOND);
    if (shift > DIGIT_BITS) {
      own = counts + OTHER;
      memory.fill(own, 0, 4 * DIGITS);
      for (let at = from; at < from + bytes; at += 8) countOne(own + digitOf(load<u64>(at), shift));
    }
    scatter(from, from + bytes, spare, own, shift);
    const other = from;
    from = spare;
    spare = other;
  }
  return from;
}
