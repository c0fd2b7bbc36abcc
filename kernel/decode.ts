/**
 * Decodes frames of codec `planes` (docs/format.md) with SIMD, position by position while its
 * entries are in cache. What is accepted equals src/encode/planes-reference.ts bit for bit; what is
 * refused is decoded there again, which says why. The host has checked headers and lengths, and
 * decompressed blocks that are not LZ4.
 *
 * Memory from `getControl()` on: CONTROL_WORDS words of control, the float32 rest masses of the
 * 65,536 stored values (`getMasses()`), and the input (`getInput()`): frames, each its header and
 * LZ4 or raw block, filled up to 16 bytes; behind them the positions asked for. Results lie behind
 * that.
 *
 * Words of control, in: 0 frames, 1 what to write, 2 the greatest id, 3 positions asked for. Out:
 * 8 positions, 9 entries, then where they lie: 10 offsets, uint32 from 0 on; 11 rest masses,
 * float32; 12 stored rests, uint16; 13 ids, uint32; 14 levels, uint16; 15 probabilities or weights,
 * float32.
 */
import { areScores, idsOf, integersOf, scoresOf, valuesOf, weightsOf } from './entries.ts';
import { INDEPENDENT, SCALED, UNBIASED } from './kinds.ts';
import { align } from './lanes.ts';
import { inflate } from './lz4.ts';

const CONTROL_WORDS: usize = 16;
const MASSES: usize = 65_536;

/** What to write: rest masses and probabilities; stored rests and levels. */
const VALUES: u32 = 1;
const INTEGERS: u32 = 2;
/** The input is one frame, and only the positions behind it are asked for. */
const CHOSEN: u32 = 4;

const HEADER_BYTES: usize = 40;
/** What may be written behind the last entry. */
const SLACK: u64 = 64;
const REFUSED: i32 = -1;

const LZ4: u8 = 2;
/** A match grows by at most 255 bytes for each byte of its length. */
const LZ4_RATIO_MAX: u64 = 255;

const controlAt: usize = align(__heap_base);
const massesAt: usize = controlAt + 4 * CONTROL_WORDS;
const inputAt: usize = massesAt + 4 * MASSES;

export function getControl(): usize { return controlAt; }
export function getMasses(): usize { return massesAt; }
export function getInput(): usize { return inputAt; }

let wanted: u32 = 0;
let maxId: u32 = 0;

let end: u64 = 0;
let offsetsOut: usize = 0;
let massesOut: usize = 0;
let restsOut: usize = 0;
let idsOut: usize = 0;
let levelsOut: usize = 0;
let probsOut: usize = 0;

/** Where LZ4 blocks are decompressed, one after the other. */
let spare: usize = 0;

/** The frame at hand, and its planes. */
let raw: usize = 0;
let n: usize = 0;
let m: usize = 0;
let kind: u8 = 0;
let step: f64 = 0;
let tau: f32 = 0;
let idPlanes: usize = 0;
let restAt: usize = 0;
let idsAt: usize = 0;
let levelsAt: usize = 0;

/** Begins with a line of the cache, for those who go on with it. */
function take(items: u64, bytes: u64): usize {
  const at = (end + 63) & ~(<u64>63);
  end = at + items * bytes + SLACK;
  return <usize>at;
}

/** Pages that memory must have, or 0 where it has them. */
function missing(): i32 {
  const pages = (end + 0xffff) >>> 16;
  return pages > <u64>memory.size() ? <i32>pages : 0;
}

function layOut(positions: u64, entries: u64): i32 {
  offsetsOut = take(positions + 1, 4);
  massesOut = take(wanted & VALUES ? positions : 0, 4);
  restsOut = take(wanted & INTEGERS ? positions : 0, 2);
  idsOut = take(entries, 4);
  levelsOut = take(wanted & INTEGERS ? entries : 0, 2);
  probsOut = take(wanted & VALUES ? entries : 0, 4);
  const pages = missing();
  if (pages != 0) return pages;
  store<u32>(controlAt, <u32>positions, 32);
  store<u32>(controlAt, <u32>entries, 36);
  store<u32>(controlAt, offsetsOut, 40);
  store<u32>(controlAt, massesOut, 44);
  store<u32>(controlAt, restsOut, 48);
  store<u32>(controlAt, idsOut, 52);
  store<u32>(controlAt, levelsOut, 56);
  store<u32>(controlAt, probsOut, 60);
  store<u32>(offsetsOut, 0);
  return 0;
}

/** Takes memory for the largest raw block of LZ4; false where none can be as large. */
function takeSpare(frames: u32): bool {
  let most: u64 = 0;
  let frame = inputAt;
  for (let f: u32 = 0; f < frames; f++, frame = behind(frame)) {
    if (load<u8>(frame, 6) != LZ4) continue;
    const size: u64 = load<u32>(frame, 32);
    if (size > LZ4_RATIO_MAX * <u64>load<u32>(frame, 28)) return false;
    most = max(most, size);
  }
  spare = take(most, 1);
  return true;
}

function open(frame: usize): bool {
  n = load<u32>(frame, 12);
  m = load<u32>(frame, 16);
  kind = load<u8>(frame, 5);
  step = <f64>load<f32>(frame, 20);
  tau = load<f32>(frame, 24);
  idPlanes = load<u8>(frame, 8);
  const isLz4 = load<u8>(frame, 6) == LZ4;
  raw = isLz4 ? spare : frame + HEADER_BYTES;
  restAt = raw + n * <usize>load<u8>(frame, 7);
  idsAt = restAt + (kind == SCALED ? 2 * n : 0);
  levelsAt = idsAt + idPlanes * m;
  if (!isLz4) return true;
  return inflate(frame + HEADER_BYTES, load<u32>(frame, 28), raw, load<u32>(frame, 32));
}

function behind(frame: usize): usize {
  const bytes = load<u8>(frame, 6) == LZ4 ? load<u32>(frame, 28) : load<u32>(frame, 32);
  return frame + align(HEADER_BYTES + <usize>bytes);
}

/** Adds the frame's counts to the word at `to`, one after the other, into the words behind it. */
function addCounts(frame: usize, to: usize): bool {
  const width = load<u8>(frame, 7);
  const first = load<u32>(to);
  let sum: u64 = 0;
  for (let t: usize = 0; t < n; t++) {
    if (width == 1) sum += load<u8>(raw + t);
    else if (width == 2) sum += load<u16>(raw + 2 * t);
    else sum += load<u32>(raw + 4 * t);
    if (sum > m) return false;
    store<u32>(to + 4 * t, first + <u32>sum, 4);
  }
  return sum == m;
}

/** The greatest level of a probability, of itself or of what it leaves to 1. */
function scoreMax(step: f64): f64 {
  const most = Math.floor(1 / step);
  return min<f64>(32_767, most * step > 1 ? most - 1 : most);
}

/** Decodes the `count` entries from `from` on of position t to position k of what is written. */
function decode(t: usize, from: usize, count: usize, k: usize): bool {
  let mass: f32 = 1;
  if (kind == SCALED) {
    const rest = <usize>load<u8>(restAt + t) | (<usize>load<u8>(restAt + n + t) << 8);
    if (count != 0) mass = load<f32>(massesAt + 4 * rest);
    if (wanted & INTEGERS) store<u16>(restsOut + 2 * k, rest);
    if (wanted & VALUES) store<f32>(massesOut + 4 * k, mass);
  }
  if (count == 0) return true;
  const to: usize = load<u32>(offsetsOut + 4 * k);
  const at = levelsAt + from;
  if (!idsOf(idsAt + from, m, idPlanes, count, idsOut + 4 * to, maxId)) return false;
  if (kind == INDEPENDENT && !areScores(at, m, count, <i16>scoreMax(step))) return false;
  if (wanted & INTEGERS) {
    if (!integersOf(at, m, count, levelsOut + 2 * to) && kind != UNBIASED) return false;
  }
  if (!(wanted & VALUES)) return true;
  if (kind == SCALED) return valuesOf(at, m, count, probsOut + 4 * to, mass);
  if (kind == INDEPENDENT) {
    scoresOf(at, m, count, probsOut + 4 * to, step);
    return true;
  }
  weightsOf(at, m, count, probsOut + 4 * to, step, tau);
  return true;
}

/** 0: done; REFUSED: a frame is damaged; else the pages that memory must have to run again. */
export function run(): i32 {
  wanted = load<u32>(controlAt, 4);
  maxId = load<u32>(controlAt, 8);
  if (wanted & CHOSEN) return runChosen();
  const frames = load<u32>(controlAt);
  let positions: u64 = 0;
  let entries: u64 = 0;
  let frame = inputAt;
  for (let f: u32 = 0; f < frames; f++, frame = behind(frame)) {
    positions += load<u32>(frame, 12);
    entries += load<u32>(frame, 16);
  }
  end = frame;
  if (!takeSpare(frames)) return REFUSED;
  const pages = layOut(positions, entries);
  if (pages != 0) return pages;
  frame = inputAt;
  let k: usize = 0;
  for (let f: u32 = 0; f < frames; f++, frame = behind(frame)) {
    if (!open(frame)) return REFUSED;
    const counts = offsetsOut + 4 * k;
    const first = load<u32>(counts);
    if (!addCounts(frame, counts)) return REFUSED;
    for (let t: usize = 0; t < n; t++, k++) {
      const from = load<u32>(offsetsOut + 4 * k);
      const count = load<u32>(offsetsOut + 4 * k, 4) - from;
      if (!decode(t, from - first, count, k)) return REFUSED;
    }
  }
  return 0;
}

function runChosen(): i32 {
  const chosen = <usize>load<u32>(controlAt, 12);
  const chosenAt = behind(inputAt);
  end = chosenAt + align(4 * chosen);
  if (!takeSpare(1)) return REFUSED;
  const starts = take(<u64>load<u32>(inputAt, 12) + 1, 4);
  let pages = missing();
  if (pages != 0) return pages;
  if (!open(inputAt)) return REFUSED;
  store<u32>(starts, 0);
  if (!addCounts(inputAt, starts)) return REFUSED;
  let entries: u64 = 0;
  for (let k: usize = 0; k < chosen; k++) {
    const start = starts + 4 * <usize>load<u32>(chosenAt + 4 * k);
    entries += load<u32>(start, 4) - load<u32>(start);
  }
  pages = layOut(chosen, entries);
  if (pages != 0) return pages;
  for (let k: usize = 0; k < chosen; k++) {
    const t: usize = load<u32>(chosenAt + 4 * k);
    const from = load<u32>(starts + 4 * t);
    const count = load<u32>(starts + 4 * t, 4) - from;
    store<u32>(offsetsOut + 4 * k, load<u32>(offsetsOut + 4 * k) + count, 4);
    if (!decode(t, from, count, k)) return REFUSED;
  }
  return 0;
}
