/**
 * Systematic draws along cumulative sums; src/kernel/engine.ts says what is drawn. The sums of a
 * block are added one after the other, as the reference adds them, so those of four blocks are
 * added side by side: the one at hand, and the next three that a draw seems to fall into.
 */
import { BLOCK } from './powers.ts';

const LANES: usize = 4;
const LANE_BYTES: usize = 4 * <usize>BLOCK;
const SUMS_BYTES: usize = LANES * 2 * LANE_BYTES;
/** Sums, four to an index; the lanes' blocks, and the sums before them. */
export const LANES_BYTES: usize = SUMS_BYTES + LANES * 4 + LANES * 8;

let lanesAt: usize = 0;
let powersAt: usize = 0;
let blocksOfLanes: usize = 0;
let startsOfLanes: usize = 0;

let drawnAt: usize = 0;
let drawnMax: i32 = 0;
let unit: f64 = 0;
let start: f64 = 0;
let drawn: i32 = 0;
/** The sum beyond which the next entry is taken. */
let next: f64 = 0;

export function beginDraws(
  to: usize, most: i32, lanes: usize, powers: usize, newUnit: f64, newStart: f64,
): void {
  drawnAt = to;
  drawnMax = most;
  lanesAt = lanes;
  powersAt = powers;
  blocksOfLanes = lanes + SUMS_BYTES;
  startsOfLanes = blocksOfLanes + LANES * 4;
  unit = newUnit;
  start = newStart;
  drawn = 0;
  next = start * unit;
}

/** Takes an entry where the sum up to it passes the next draw; an entry without mass never. */
// @ts-ignore: decorator
@inline
export function offer(id: i32, e: f64, sum: f64): void {
  if (!(next < sum) || e == 0 || drawn == drawnMax) return;
  take(id);
}

function take(id: i32): void {
  store<i32>(drawnAt + (<usize>drawn << 2), id);
  drawn++;
  next = (start + <f64>drawn) * unit;
}

/** Adds the first two powers to two sums. */
// @ts-ignore: decorator
@inline
function added(sums: v128, e: v128): v128 {
  return f64x2.add(sums, f64x2.promote_low_f32x4(e));
}

function powersOfLane(lane: usize): usize {
  return powersAt + LANE_BYTES * <usize>load<i32>(blocksOfLanes + (lane << 2));
}

/** Adds up the lanes' powers, which are 0 where values reach the threshold. */
function fill(): void {
  let a = powersOfLane(0);
  let b = powersOfLane(1);
  let c = powersOfLane(2);
  let d = powersOfLane(3);
  let ab = v128.load(startsOfLanes);
  let cd = v128.load(startsOfLanes, 16);
  let sums = lanesAt;
  do {
    const p = v128.load(a);
    const q = v128.load(b);
    const r = v128.load(c);
    const s = v128.load(d);
    ab = added(ab, v128.shuffle<i32>(p, q, 0, 4, 0, 4));
    cd = added(cd, v128.shuffle<i32>(r, s, 0, 4, 0, 4));
    v128.store(sums, ab);
    v128.store(sums, cd, 16);
    ab = added(ab, v128.shuffle<i32>(p, q, 1, 5, 1, 5));
    cd = added(cd, v128.shuffle<i32>(r, s, 1, 5, 1, 5));
    v128.store(sums, ab, 32);
    v128.store(sums, cd, 48);
    ab = added(ab, v128.shuffle<i32>(p, q, 2, 6, 2, 6));
    cd = added(cd, v128.shuffle<i32>(r, s, 2, 6, 2, 6));
    v128.store(sums, ab, 64);
    v128.store(sums, cd, 80);
    ab = added(ab, v128.shuffle<i32>(p, q, 3, 7, 3, 7));
    cd = added(cd, v128.shuffle<i32>(r, s, 3, 7, 3, 7));
    v128.store(sums, ab, 96);
    v128.store(sums, cd, 112);
    a += 16;
    b += 16;
    c += 16;
    d += 16;
    sums += 128;
  } while (sums < lanesAt + SUMS_BYTES);
}

/** Chooses the lanes' blocks. A wrong guess costs time: a block without a lane gets one later. */
function choose(block: i32, end: i32, blocks: usize, sum: f64): void {
  const perUnit = 1 / unit;
  let lane: usize = 0;
  let before = sum;
  for (let b = block; b < end && lane < LANES; b++) {
    const after = before + load<f64>(blocks + (<usize>b << 3));
    const passes = Math.ceil(after * perUnit - start) > Math.ceil(before * perUnit - start);
    if (passes || b == block) {
      store<i32>(blocksOfLanes + (lane << 2), b);
      store<f64>(startsOfLanes + (lane << 3), before);
      lane++;
    }
    before = after;
  }
  for (; lane < LANES; lane++) store<i32>(blocksOfLanes + (lane << 2), block);
}

/** LANES where a block has none. */
function laneOf(block: i32): usize {
  let lane: usize = 0;
  while (lane < LANES && load<i32>(blocksOfLanes + (lane << 2)) != block) lane++;
  return lane;
}

/** Takes what draws fall on in a block of `length` values, whose first id is `first`. */
function walk(lane: usize, first: i32, length: i32): void {
  const sums = lanesAt + (lane << 3);
  const own = powersOfLane(lane);
  for (let from = 0; drawn < drawnMax; ) {
    let to = length; // sums never fall: the first beyond `next` is in [from, to]
    while (from < to) {
      const middle = (from + to) >> 1;
      if (next < load<f64>(sums + (<usize>middle << 5))) to = middle;
      else from = middle + 1;
    }
    while (from < length && load<f32>(own + (<usize>from << 2)) == 0) from++;
    if (from == length) return;
    take(first + from++);
  }
}

/** Draws from the values below the threshold; `sum` is that of all before. Returns all drawn. */
export function drawBelow(width: i32, blocks: usize, sum: f64): i32 {
  const end = (width + BLOCK - 1) / BLOCK;
  for (let lane: usize = 0; lane < LANES; lane++) store<i32>(blocksOfLanes + (lane << 2), -1);
  for (let block = 0; block < end && drawn < drawnMax; block++) {
    const after = sum + load<f64>(blocks + (<usize>block << 3));
    if (next < after) {
      let lane = laneOf(block);
      if (lane == LANES) {
        choose(block, end, blocks, sum);
        fill();
        lane = 0;
      }
      walk(lane, block * BLOCK, min(BLOCK, width - block * BLOCK));
    }
    sum = after;
  }
  return drawn;
}
