/**
 * Sorts the entries of many positions at once by position and id: a radix sort, a few passes over
 * the entries, where sorting position by position takes five times as long.
 */

/** Most positions of a run: a position's number in its run has 16 bits. */
export const runPositionsMax = 65_536;

/** Entries in any order; the two arrays are reused from run to run. */
export interface Run {
  ids: Uint32Array;
  /** Position in the run · 65,536 + level. */
  tags: Uint32Array;
}

const digitBits = 9; // two digits reach any usual vocabulary's ids
const digits = 1 << digitBits;
const mask = digits - 1;
/** How many entries have each digit: of the two low ones, counted together, and of another. */
const [low, second, other] = Array.from({ length: 3 }, () => new Uint32Array(digits));
const spare: Run = { ids: new Uint32Array(0), tags: new Uint32Array(0) };

export function growRun(run: Run, entries: number): void {
  if (run.ids.length >= entries) return;
  run.ids = new Uint32Array(entries);
  run.tags = new Uint32Array(entries);
}

/**
 * Writes the first `entries` entries of `run` to `ids` and `levels`, position t of the run from
 * `starts[t]` on, ids ascending. Uses up `run` and `starts`.
 */
export function sortRun(
  run: Run,
  { entries, starts }: { entries: number; starts: Uint32Array },
  { ids, levels }: { ids: Uint32Array; levels: Uint16Array },
): void {
  growRun(spare, entries);
  const all = countLow(run.ids, entries);
  let [from, to] = [run, spare];
  for (let shift = 0; shift < 32 && all >>> shift > 0; shift += digitBits) {
    const histogram = [low, second][shift / digitBits] ?? count(from.ids, entries, shift);
    scatter(from, to, { entries, shift, histogram });
    [from, to] = [to, from];
  }
  for (let i = 0; i < entries; i++) {
    const tag = from.tags[i];
    const at = starts[tag >>> 16]++;
    ids[at] = from.ids[i];
    levels[at] = tag; // its low 16 bits
  }
}

/** Returns the bits that any id has. */
function countLow(ids: Uint32Array, entries: number): number {
  low.fill(0);
  second.fill(0);
  let all = 0;
  for (let i = 0; i < entries; i++) {
    const id = ids[i];
    all |= id;
    low[id & mask]++;
    second[(id >>> digitBits) & mask]++;
  }
  return all;
}

function count(ids: Uint32Array, entries: number, shift: number): Uint32Array {
  other.fill(0);
  for (let i = 0; i < entries; i++) other[(ids[i] >>> shift) & mask]++;
  return other;
}

/** One stable pass by one digit of the ids. */
function scatter(
  { ids, tags }: Run,
  { ids: toIds, tags: toTags }: Run,
  { entries, shift, histogram }: { entries: number; shift: number; histogram: Uint32Array },
): void {
  let sum = 0;
  for (let digit = 0; digit < digits; digit++) {
    const own = histogram[digit];
    histogram[digit] = sum;
    sum += own;
  }
  for (let i = 0; i < entries; i++) {
    const id = ids[i];
    const at = histogram[(id >>> shift) & mask]++;
    toIds[at] = id;
    toTags[at] = tags[i];
  }
}
