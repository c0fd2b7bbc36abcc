/**
 * Makes the raw block of a frame of codec `planes` (docs/format.md) of one sample's targets, with
 * SIMD. Equals the reference, `quantise` and `referenceRaw` of src/encode/, bit for bit; the ids of
 * a position are distinct. The host asks for memory by `layOut`, writes what comes in where the
 * words of control say, and calls `run`.
 *
 * Words of control (`getControl()`), where what comes in lies: 0 the lowest float32 of each level
 * (src/encode/thresholds.ts), 1 offsets, uint32; 2 ids, uint32; 3 log-probs, float32; 4 rest
 * masses, float32. Out: 5 where the raw block lies, 6 bytes of a count, 7 planes of the ids, 8
 * entries, 9 the block's bytes.
 */
import { COUNTS_BYTES, sortById } from './by-id.ts';
import { SCALED } from './kinds.ts';
import { align, anyBits, present } from './lanes.ts';
import { LEFT_OUT, dropped, levelBits, levelsOf, prepareLevels, rest } from './levels.ts';
import { LEAF, sortKeys } from './network.ts';
import { splitShorts, splitWords } from './split.ts';

const CONTROL_WORDS: usize = 10;
/** More entries are sorted faster by their digits than by a network. */
const NETWORK_MAX: u32 = 512;
/** What may be read and written behind the last entry, or key. */
const SLACK: u64 = 16;

const controlAt: usize = align(__heap_base);
const digitsAt: usize = align(controlAt + 4 * CONTROL_WORDS);
const lowestAt: usize = digitsAt + COUNTS_BYTES;

export function getControl(): usize { return controlAt; }

let n: usize = 0;
let offsetsAt: usize = 0;
let idsAt: usize = 0;
let logprobsAt: usize = 0;
let massesAt: usize = 0;
/** Of one position: its levels, and keys or entries to sort, the latter twice. */
let foundAt: usize = 0;
let keysAt: usize = 0;
let spareAt: usize = 0;
/** What is kept of all, before it is split. */
let countsAt: usize = 0;
let restsAt: usize = 0;
let deltasAt: usize = 0;
let levelsAt: usize = 0;
let rawAt: usize = 0;

let end: u64 = 0;

function take(items: u64, bytes: u64): usize {
  const at = (end + 15) & ~(<u64>15);
  end = at + items * bytes + SLACK;
  return <usize>at;
}

/** Returns the pages that memory must have; no position has more than `positionMax` entries. */
export function layOut(positions: u32, entries: u32, positionMax: u32, levels: u32): u32 {
  n = positions;
  end = lowestAt + 4 * levels;
  offsetsAt = take(<u64>positions + 1, 4);
  idsAt = take(entries, 4);
  logprobsAt = take(entries, 4);
  massesAt = take(positions, 4);
  foundAt = take(positionMax, 4);
  keysAt = take(<u64>positionMax + NETWORK_MAX, 8);
  spareAt = take(positionMax, 8);
  countsAt = take(positions, 4);
  restsAt = take(positions, 2);
  deltasAt = take(entries, 4);
  levelsAt = take(entries, 2);
  rawAt = take(6, <u64>positions + entries);
  store<u32>(controlAt, lowestAt);
  store<u32>(controlAt, offsetsAt, 4);
  store<u32>(controlAt, idsAt, 8);
  store<u32>(controlAt, logprobsAt, 12);
  store<u32>(controlAt, massesAt, 16);
  store<u32>(controlAt, rawAt, 20);
  return <u32>((end + 0xffff) >> 16);
}

let kind: u32 = 0;
/** Entries kept so far, and all bits of the counts and differences of ids. */
let kept: usize = 0;
let countBits: u32 = 0;
let deltaBits: u32 = 0;

/** Writes keys, id and level, of which those left out are the greatest; returns all bits of ids. */
function writeKeys(ids: usize, count: usize, shift: i32): u32 {
  let bits = i32x4.splat(0);
  for (let i: usize = 0; i < count; i += 4) {
    const id = v128.load(ids + 4 * i);
    const level = v128.load(foundAt + 4 * i); // LEFT_OUT: all bits
    v128.store(keysAt + 4 * i, v128.or(i32x4.shl(id, shift), level));
    bits = v128.or(bits, v128.andnot(id, i32x4.shr_s(level, 31)));
  }
  return anyBits(bits);
}

/** Writes differences and levels of sorted keys; returns all bits of the differences. */
function takeKeys(count: usize, shift: i32): u32 {
  const low = i32x4.splat((1 << shift) - 1);
  let before = i32x4.splat(0);
  let bits = i32x4.splat(0);
  for (let i: usize = 0; i < count; i += 4) {
    const key = v128.load(keysAt + 4 * i);
    const id = i32x4.shr_u(key, shift);
    const delta = i32x4.sub(id, v128.shuffle<i32>(before, id, 3, 4, 5, 6));
    const level = v128.and(key, low);
    v128.store(deltasAt + 4 * (kept + i), delta);
    v128.store64_lane(levelsAt + 2 * (kept + i), i16x8.narrow_i32x4_u(level, level), 0);
    bits = v128.or(bits, v128.and(delta, present(count - i)));
    before = id;
  }
  return anyBits(bits);
}

function sortByNetwork(ids: usize, count: usize): bool {
  if (count > <usize>NETWORK_MAX) return false;
  const shift = 32 - <i32>clz(levelBits);
  const bits = writeKeys(ids, count, shift);
  if (shift > 0 && bits >> (32 - shift) != 0) return false;
  let bytes = LEAF;
  while (bytes < 4 * count) bytes <<= 1;
  for (let i = align(4 * count); i < bytes; i += 16) v128.store(keysAt + i, i32x4.splat(-1));
  sortKeys(keysAt, bytes);
  deltaBits |= takeKeys(count - dropped, shift);
  return true;
}

function sortByDigits(ids: usize, count: usize): void {
  let stop = keysAt;
  for (let i: usize = 0; i < count; i++) {
    const level = load<u32>(foundAt + 4 * i);
    store<u64>(stop, (<u64>load<u32>(ids + 4 * i) << 32) | <u64>level);
    stop += <usize>(level != LEFT_OUT) << 3;
  }
  let at = sortById(keysAt, stop, spareAt, digitsAt);
  let before: u32 = 0;
  for (let i = kept; i < kept + count - dropped; i++, at += 8) {
    const id = load<u32>(at, 4);
    const delta = id - before;
    store<u32>(deltasAt + 4 * i, delta);
    store<u16>(levelsAt + 2 * i, load<u16>(at));
    deltaBits |= delta;
    before = id;
  }
}

/** `scoreMax`: the greatest level of an independent probability, or of what it leaves to 1. */
export function run(newKind: u32, step: f64, logTau: f32, scoreMax: i32): void {
  kind = newKind;
  prepareLevels(kind, step, logTau, scoreMax, lowestAt);
  kept = 0;
  countBits = 0;
  deltaBits = 0;
  for (let t: usize = 0; t < n; t++) {
    const from: usize = load<u32>(offsetsAt + 4 * t);
    const count = <usize>load<u32>(offsetsAt + 4 * t, 4) - from;
    const mass: f64 = kind == SCALED ? <f64>load<f32>(massesAt + 4 * t) : 0;
    levelsOf(logprobsAt + 4 * from, count, mass, foundAt);
    const ids = idsAt + 4 * from;
    if (!sortByNetwork(ids, count)) sortByDigits(ids, count);
    const own = count - dropped;
    store<u32>(countsAt + 4 * t, own);
    store<u16>(restsAt + 2 * t, rest);
    countBits |= <u32>own;
    kept += own;
  }
  writeRaw();
}

function writeRaw(): void {
  const countWidth: usize = countBits < 0x100 ? 1 : countBits < 0x10000 ? 2 : 4;
  const idPlanes: usize = deltaBits < 0x10000 ? 2 : deltaBits < 0x1000000 ? 3 : 4;
  for (let t: usize = 0; t < n; t++) {
    const count = load<u32>(countsAt + 4 * t);
    if (countWidth == 1) store<u8>(rawAt + t, count);
    else if (countWidth == 2) store<u16>(rawAt + 2 * t, count);
    else store<u32>(rawAt + 4 * t, count);
  }
  let at = rawAt + n * countWidth;
  if (kind == SCALED) {
    splitShorts(restsAt, n, at);
    at += 2 * n;
  }
  splitWords(deltasAt, kept, idPlanes, at);
  at += idPlanes * kept;
  splitShorts(levelsAt, kept, at);
  store<u32>(controlAt, countWidth, 24);
  store<u32>(controlAt, idPlanes, 28);
  store<u32>(controlAt, kept, 32);
  store<u32>(controlAt, at + 2 * kept - rawAt, 36);
}
