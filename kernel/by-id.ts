/**
 * Sorts the entries of a position by id, u64 each: id, level. A stable pass for each digit of the
 * ids, the least first.
 */

const DIGIT_BITS: u64 = 9; // two digits reach any usual vocabulary's ids
const DIGITS: usize = 512;
const MASK: u64 = DIGITS - 1;

/** Of how many entries have each digit. */
export const COUNTS_BYTES: usize = 4 * DIGITS;

// @ts-ignore: decorator
@inline
function digitOf(entry: u64, shift: u64): usize {
  return <usize>((entry >> (32 + shift)) & MASK) << 2;
}

/** Counts digits, then turns the counts into where the entries of each begin. */
function count(from: usize, end: usize, counts: usize, shift: u64): void {
  memory.fill(counts, 0, COUNTS_BYTES);
  for (let at = from; at < end; at += 8) {
    const own = counts + digitOf(load<u64>(at), shift);
    store<u32>(own, load<u32>(own) + 1);
  }
  let sum: u32 = 0;
  for (let at = counts; at < counts + COUNTS_BYTES; at += 4) {
    const own = load<u32>(at);
    store<u32>(at, sum);
    sum += own;
  }
}

function scatter(from: usize, end: usize, to: usize, counts: usize, shift: u64): void {
  for (let at = from; at < end; at += 8) {
    const entry = load<u64>(at);
    const next = counts + digitOf(entry, shift);
    const place = load<u32>(next);
    store<u32>(next, place + 1);
    store<u64>(to + 8 * <usize>place, entry);
  }
}

/** Sorts what lies from `from` to `end`, there or from `spare` on: returns where. */
export function sortById(from: usize, end: usize, spare: usize, counts: usize): usize {
  const bytes = end - from;
  let all: u64 = 0;
  for (let at = from; at < end; at += 8) all |= load<u64>(at);
  for (let shift: u64 = 0; shift < 32 && all >> (32 + shift) > 0; shift += DIGIT_BITS) {
    count(from, from + bytes, counts, shift);
    scatter(from, from + bytes, spare, counts, shift);
    const other = from;
    from = spare;
    spare = other;
  }
  return from;
}
