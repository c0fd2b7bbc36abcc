/** The raw block of a frame: its integers and values, position by position. */
import { LogitcaskError } from '../errors.ts';
import { compressions } from './compression.ts';
import { checkFrame, damaged, type FrameHeader, headerBytes } from './frame.ts';
import { restMass } from './levels.ts';

/** What is read of a frame. */
export interface Reading {
  /** V, the size of the label space: ids beyond it are refused. */
  readonly width: number;
  /** The sample's number of positions, where it is known. */
  readonly count?: number;
  /** Positions to decode, in any order; all by default. */
  readonly positions?: ArrayLike<number>;
}

export interface Block {
  readonly header: FrameHeader;
  readonly width: number;
  readonly raw: Uint8Array;
  readonly view: DataView;
  /** Where the entries of each position of the frame begin; length n + 1. */
  readonly starts: Uint32Array;
  /** Positions asked for, all where absent, and how many. */
  readonly chosen: Uint32Array | undefined;
  readonly count: number;
  /** Where the entries of each position begin in what is decoded; length count + 1. */
  readonly offsets: Uint32Array;
}

/** Checks and decompresses a frame, and adds up its counts. Throws `frame-damaged`. */
export function openBlock(frame: Uint8Array, { width, count, positions }: Reading): Block {
  const header = checkFrame(frame);
  const { positions: n, entries: m } = header;
  // before anything is decompressed: together they bound what comes out
  if (n !== (count ?? n)) throw damaged('it holds another number of positions', count, n);
  if (m > n * width) throw damaged('it holds more entries than ids', n * width, m);
  const chosen = positions === undefined ? undefined : checkedPositions(positions, n);
  const raw = decompress(frame, header);
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const starts = startsOf(raw, header);
  const offsets = chosen === undefined ? starts : offsetsOf(chosen, starts);
  return { header, width, raw, view, starts, chosen, count: chosen?.length ?? n, offsets };
}

export function checkedPositions(positions: ArrayLike<number>, n: number): Uint32Array {
  return Uint32Array.from(positions, (t) => {
    if (Number.isInteger(t) && t >= 0 && t < n) return t;
    const message = `frame: there is no position ${t}, ask for those that the sample has`;
    throw new LogitcaskError('request-invalid', message, { expected: `0 … ${n - 1}`, got: t });
  });
}

function decompress(frame: Uint8Array, { compression, rawBytes }: FrameHeader): Uint8Array {
  try {
    return compressions[compression].decompress(frame.subarray(headerBytes), rawBytes);
  } catch (cause) {
    throw damaged(
      `its block does not decompress (${(cause as Error).message})`,
      `${rawBytes} bytes`,
      'an error',
    );
  }
}

function startsOf(raw: Uint8Array, header: FrameHeader): Uint32Array {
  const { positions: n, entries: m, countWidth } = header;
  const starts = new Uint32Array(n + 1);
  let sum = 0; // in float64: cannot wrap
  for (let t = 0; t < n; t++) {
    const at = t * countWidth;
    sum += raw[at];
    if (countWidth > 1) sum += raw[at + 1] * 2 ** 8;
    if (countWidth > 2) sum += raw[at + 2] * 2 ** 16 + raw[at + 3] * 2 ** 24;
    starts[t + 1] = sum;
    if (sum > m) throw damaged('its counts exceed its entries', m, sum);
  }
  if (sum !== m) throw damaged('its counts do not add up to its entries', m, sum);
  return starts;
}

function offsetsOf(chosen: Uint32Array, starts: Uint32Array): Uint32Array {
  const offsets = new Uint32Array(chosen.length + 1);
  for (let k = 0; k < chosen.length; k++) {
    offsets[k + 1] = offsets[k] + starts[chosen[k] + 1] - starts[chosen[k]];
  }
  return offsets;
}

/** The stored rest of position t; scaled targets only. */
export function restAt({ header, raw }: Block, t: number): number {
  const at = header.positions * header.countWidth + t;
  return raw[at] | (raw[at + header.positions] << 8);
}

function idsFrom({ positions, countWidth, kind }: FrameHeader): number {
  return positions * (countWidth + (kind === 'scaled' ? 2 : 0));
}

/** Where ids and values of a position go: to `to` from `at` on. */
interface Target<T> {
  readonly to: T;
  readonly at: number;
}

/** The ids of position t. */
export function idsAt(block: Block, t: number, target: Target<Uint32Array>): void {
  if (block.header.idPlanes === 4) wideIdsAt(block, t, target);
  else narrowIdsAt(block, t, target);
}

/**
 * Deltas of up to 24 bits. Four at a time, out of a word of each plane, which takes half as long as
 * byte by byte; a delta of 0 shows in the sign of `zero`.
 */
function narrowIdsAt(
  { header, raw, view, starts, width }: Block,
  t: number,
  { to, at }: Target<Uint32Array>,
): void {
  const { entries: m, idPlanes } = header;
  const end = starts[t + 1];
  let i = starts[t];
  if (i === end) return;
  const shift = at - i;
  const low = idsFrom(header);
  const high = low + m;
  const top = idPlanes === 3 ? high + m : -1;
  const deltaAt = (j: number) =>
    raw[low + j] | (raw[high + j] << 8) | (top < 0 ? 0 : raw[top + j] << 16);
  let id = deltaAt(i);
  let zero = 0;
  to[shift + i++] = id;
  for (; i + 3 < end; i += 4) {
    const x = view.getInt32(low + i, true);
    const y = view.getInt32(high + i, true);
    let a = (x & 0xff) | ((y & 0xff) << 8);
    let b = ((x >>> 8) & 0xff) | (y & 0xff00);
    let c = ((x >>> 16) & 0xff) | ((y >>> 8) & 0xff00);
    let d = (x >>> 24) | ((y >>> 16) & 0xff00);
    if (top >= 0) {
      const z = view.getInt32(top + i, true);
      a |= (z & 0xff) << 16;
      b |= (z & 0xff00) << 8;
      c |= z & 0xff0000;
      d |= (z >>> 8) & 0xff0000;
    }
    zero |= (a - 1) | (b - 1) | (c - 1) | (d - 1);
    a += id;
    b += a;
    c += b;
    id = c + d;
    to[shift + i] = a;
    to[shift + i + 1] = b;
    to[shift + i + 2] = c;
    to[shift + i + 3] = id;
  }
  for (; i < end; i++) {
    const delta = deltaAt(i);
    zero |= delta - 1;
    id += delta;
    to[shift + i] = id;
  }
  if (zero < 0 || id >= width) throw notAscending(width, id);
}

/** Deltas of 32 bits: sums in float64, which cannot wrap. */
function wideIdsAt(
  { header, raw, starts, width }: Block,
  t: number,
  { to, at }: Target<Uint32Array>,
): void {
  const m = header.entries;
  const from = idsFrom(header);
  let before = -1;
  for (let i = starts[t], id = 0; i < starts[t + 1]; i++) {
    const j = from + i;
    id += raw[j] + raw[j + m] * 2 ** 8 + raw[j + 2 * m] * 2 ** 16 + raw[j + 3 * m] * 2 ** 24;
    if (id <= before || id >= width) throw notAscending(width, id);
    to[at++] = id;
    before = id;
  }
}

function notAscending(width: number, id: number) {
  return damaged('its ids do not ascend below V', `ids that ascend to less than ${width}`, id);
}

/** The levels of position t. */
export function levelsAt(
  { header, raw, starts }: Block,
  t: number,
  { to, at }: Target<Uint16Array>,
): void {
  const { entries: m, idPlanes, kind } = header;
  const low = idsFrom(header) + idPlanes * m;
  const levelMin = kind === 'scaled' ? 1 : 0;
  for (let i = starts[t]; i < starts[t + 1]; i++) {
    const level = raw[low + i] | (raw[low + m + i] << 8);
    if (level < levelMin) throw levelZero();
    to[at++] = level;
  }
}

function levelZero() {
  return damaged('a level is 0', '≥ 1', 0);
}

/** level² of the entries of the position at hand. */
const squares = new Float64Array(65_536);

/** The probabilities of position t; gives its rest mass. Scaled targets only. */
export function probsAt(block: Block, t: number, { to, at }: Target<Float32Array>): number {
  const { header, raw, view, starts } = block;
  const { entries: m, idPlanes } = header;
  const from = starts[t];
  const count = starts[t + 1] - from;
  const mass = count === 0 ? 1 : restMass[restAt(block, t)];
  const low = idsFrom(header) + idPlanes * m + from;
  const high = low + m;
  let sum = 0;
  let zero = 0;
  let i = 0;
  for (; i + 3 < count; i += 4) {
    const x = view.getInt32(low + i, true);
    const y = view.getInt32(high + i, true);
    const a = (x & 0xff) | ((y & 0xff) << 8);
    const b = ((x >>> 8) & 0xff) | (y & 0xff00);
    const c = ((x >>> 16) & 0xff) | ((y >>> 8) & 0xff00);
    const d = (x >>> 24) | ((y >>> 16) & 0xff00);
    zero |= (a - 1) | (b - 1) | (c - 1) | (d - 1);
    squares[i] = a * a;
    squares[i + 1] = b * b;
    squares[i + 2] = c * c;
    squares[i + 3] = d * d;
    sum += a * a + b * b + (c * c + d * d);
  }
  for (; i < count; i++) {
    const level = raw[low + i] | (raw[high + i] << 8);
    zero |= level - 1;
    squares[i] = level * level;
    sum += squares[i];
  }
  if (zero < 0) throw levelZero();
  const scale = (1 - mass) / sum;
  let j = 0;
  for (; j + 3 < count; j += 4) {
    to[at + j] = squares[j] * scale;
    to[at + j + 1] = squares[j + 1] * scale;
    to[at + j + 2] = squares[j + 2] * scale;
    to[at + j + 3] = squares[j + 3] * scale;
  }
  for (; j < count; j++) to[at + j] = squares[j] * scale;
  return mass;
}

/** The weights of position t. Unbiased targets only. */
export function weightsAt(
  { header, raw, starts }: Block,
  t: number,
  { to, at }: Target<Float32Array>,
): void {
  const { entries: m, idPlanes, step, tau } = header;
  const low = idsFrom(header) + idPlanes * m;
  for (let i = starts[t]; i < starts[t + 1]; i++) {
    const level = raw[low + i] | (raw[low + m + i] << 8);
    const root = level * step;
    to[at++] = level === 0 ? tau : root * root;
  }
}
