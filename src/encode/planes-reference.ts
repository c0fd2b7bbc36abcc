/**
 * Decoding a raw block in TypeScript, position by position: the reference of the compiled decoder,
 * and what runs where that cannot. It says what is wrong with a damaged frame.
 */
import type { DecodedTargets } from '../distribution/targets.ts';
import { damaged, type FrameHeader } from './frame.ts';
import { isScore, type Levels, restMass, scoreMax, scoreOf, weightOf } from './levels.ts';
import type { Block } from './planes-block.ts';

/** A block whose counts have been added up. */
interface Indexed extends Omit<Block, 'raw'> {
  readonly raw: Uint8Array;
  readonly view: DataView;
  /** Where the entries of each position of the frame begin; length n + 1. */
  readonly starts: Uint32Array;
  /** How many positions are decoded. */
  readonly count: number;
  /** Where the entries of each position begin in what is decoded; length count + 1. */
  readonly offsets: Uint32Array;
}

/** The integers of the positions asked for. Throws `frame-damaged`. */
export function referenceLevels(opened: Block): Levels {
  const block = indexed(opened);
  const { header, chosen, count, starts, offsets } = block;
  const scaled = header.kind === 'scaled';
  const out = {
    kind: header.kind,
    counts: new Uint32Array(count),
    ids: new Uint32Array(offsets[count]),
    levels: new Uint16Array(offsets[count]),
    rest: new Uint16Array(scaled ? count : 0),
  };
  for (let k = 0; k < count; k++) {
    const t = chosen === undefined ? k : chosen[k];
    out.counts[k] = starts[t + 1] - starts[t];
    if (scaled) out.rest[k] = restAt(block, t);
    idsAt(block, t, { to: out.ids, at: offsets[k] });
    levelsAt(block, t, { to: out.levels, at: offsets[k] });
  }
  return out;
}

/** The same as probabilities. Throws `frame-damaged`. */
export function referenceTargets(opened: Block): DecodedTargets {
  const block = indexed(opened);
  const { header, chosen, count, offsets } = block;
  const scaled = header.kind === 'scaled';
  const ids = new Uint32Array(offsets[count]);
  const probs = new Float32Array(offsets[count]);
  const rest = new Float32Array(scaled ? count : 0);
  for (let k = 0; k < count; k++) {
    const t = chosen === undefined ? k : chosen[k];
    const at = offsets[k];
    idsAt(block, t, { to: ids, at });
    if (scaled) rest[k] = probsAt(block, t, { to: probs, at });
    else valuesAt(block, t, { to: probs, at });
  }
  return { kind: header.kind, count, offsets, ids, probs, rest };
}

function indexed(block: Block): Indexed {
  const { header, chosen } = block;
  const raw = block.raw();
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const starts = startsOf(raw, header);
  const offsets = chosen === undefined ? starts : offsetsOf(chosen, starts);
  return { ...block, raw, view, starts, count: chosen?.length ?? header.positions, offsets };
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
function restAt({ header, raw }: Indexed, t: number): number {
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
function idsAt(block: Indexed, t: number, target: Target<Uint32Array>): void {
  if (block.header.idPlanes === 4) wideIdsAt(block, t, target);
  else narrowIdsAt(block, t, target);
}

/**
 * Deltas of up to 24 bits. Four at a time, out of a word of each plane, which takes half as long as
 * byte by byte; a delta of 0 shows in the sign of `zero`.
 */
function narrowIdsAt(
  { header, raw, view, starts, width }: Indexed,
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
  { header, raw, starts, width }: Indexed,
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
function levelsAt(
  { header, raw, starts }: Indexed,
  t: number,
  { to, at }: Target<Uint16Array>,
): void {
  const { entries: m, idPlanes, kind } = header;
  const low = idsFrom(header) + idPlanes * m;
  const levelMin = kind === 'unbiased' ? 0 : 1;
  const most = kind === 'independent' ? scoreMax(header.step) : levelsMax;
  for (let i = starts[t]; i < starts[t + 1]; i++) {
    const level = raw[low + i] | (raw[low + m + i] << 8);
    if (level < levelMin) throw levelZero();
    if (level > most && !isScore(level, most)) throw noScore(level);
    to[at++] = level;
  }
}

function levelZero() {
  return damaged('a level is 0', '≥ 1', 0);
}

const levelsMax = 65_535;

function noScore(level: number) {
  return damaged('a level stands for no probability', 'a value from 0 to 1', level);
}

/** level² of the entries of the position at hand. */
const squares = new Float64Array(65_536);

/** The probabilities of position t; gives its rest mass. Scaled targets only. */
function probsAt(block: Indexed, t: number, { to, at }: Target<Float32Array>): number {
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

/** The weights of position t, or its independent probabilities. */
function valuesAt(
  { header, raw, starts }: Indexed,
  t: number,
  { to, at }: Target<Float32Array>,
): void {
  const { kind, entries: m, idPlanes, step, tau } = header;
  const most = scoreMax(step);
  const low = idsFrom(header) + idPlanes * m;
  for (let i = starts[t]; i < starts[t + 1]; i++) {
    const level = raw[low + i] | (raw[low + m + i] << 8);
    if (kind === 'independent' && !isScore(level, most)) {
      throw level === 0 ? levelZero() : noScore(level);
    }
    to[at++] = kind === 'unbiased' ? weightOf(level, step, tau) : scoreOf(level, step);
  }
}
