/**
 * Sorts the entries of many positions at once by position and id: a radix sort, three passes over
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

const digitBits = 11;
const digits = 1 << digitBits;
const histogram = new Uint32Array(digits);
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
  let all = 0;
  for (let i = 0; i < entries; i++) all |= run.ids[i];
  const bits = 32 - Math.clz32(all);
  const passes = Math.ceil(bits / digitBits);
  const width = Math.ceil(bits / Math.max(1, passes));
  let [from, to] = [run, spare];
  for (let pass = 0; pass < passes; pass++) {
    scatter(from, to, { entries, shift: pass * width, mask: (1 << width) - 1 });
    [from, to] = [to, from];
  }
  for (let i = 0; i < entries; i++) {
    const tag = from.tags[i];
    const at = starts[tag >>> 16]++;
    ids[at] = from.ids[i];
    levels[at] = tag; // its low 16 bits
  }
}

/** One stable pass by one digit of the ids. */
function scatter(
  from: Run,
  to: Run,
  { entries, shift, mask }: { entries: number; shift: number; mask: number },
): void {
  const { ids, tags } = from;
  histogram.fill(0, 0, mask + 1);
  for (let i = 0; i < entries; i++) histogram[(ids[i] >>> shift) & mask]++;
  let sum = 0;
  for (let digit = 0; digit <= mask; digit++) {
    const count = histogram[digit];
    histogram[digit] = sum;
    sum += count;
  }
  const { ids: toIds, tags: toTags } = to;
  for (let i = 0; i < entries; i++) {
    const at = histogram[(ids[i] >>> shift) & mask]++;
    toIds[at] = ids[i];
    toTags[at] = tags[i];
  }
}
