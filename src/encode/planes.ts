/**
 * Codec `planes`: one compressed frame a sample, split into byte planes. Small, and decodes alone.
 */
import type { DecodedTargets, TargetKind, Targets } from '../distribution/targets.ts';
import type { Codec } from './codec.ts';
import { type Compression, compressions } from './compression.ts';
import { checkFrame, damaged, type FrameHeader, rawBytes, writeFrame } from './frame.ts';
import { dequantise, type Levels, quantise } from './levels.ts';

export interface PlanesOptions {
  readonly kind: TargetKind;
  /** Step on √p. */
  readonly step: number;
  /** Unbiased targets: the weight of sampled entries. */
  readonly tau?: number;
  readonly compression: Compression;
  /** V, the size of the label space. */
  readonly width: number;
}

export function planes({ kind, step, tau = 0, compression, width }: PlanesOptions): Codec {
  const grid = { step: Math.fround(step), tau: Math.fround(tau) };
  return {
    name: 'planes',
    parameters: kind === 'unbiased' ? { step, tau, compression } : { step, compression },
    columns: { frame: { type: 'binary' } },
    encode: (targets: Targets) => [encodePlanes(quantise(targets, grid), { ...grid, compression })],
    decode([frame], count): DecodedTargets {
      const { header, levels } = decodePlanes(frame, { width, count });
      return dequantise(levels, header);
    },
  };
}

function widthOf(max: number, widths: readonly number[]): number {
  return widths.find((bytes) => max < 256 ** bytes)!;
}

function maxOf(values: Uint32Array): number {
  let max = 0;
  for (let i = 0; i < values.length; i++) if (values[i] > max) max = values[i];
  return max;
}

/** Differences of the ids within a position, the first one absolute. */
function deltasOf({ counts, ids }: Levels): Uint32Array {
  const deltas = new Uint32Array(ids.length);
  let at = 0;
  for (let t = 0; t < counts.length; t++) {
    let before = 0;
    for (const end = at + counts[t]; at < end; at++) {
      deltas[at] = ids[at] - before;
      before = ids[at];
    }
  }
  return deltas;
}

/** Writes `bytes` planes of `values` to `raw` at `at`, low bytes first; returns the end. */
function split(
  raw: Uint8Array,
  values: Uint32Array | Uint16Array,
  { at, bytes }: { at: number; bytes: number },
): number {
  let to = at;
  for (let plane = 0; plane < bytes; plane++) {
    const shift = 8 * plane;
    for (let i = 0; i < values.length; i++) raw[to++] = values[i] >>> shift;
  }
  return to;
}

export function encodePlanes(
  levels: Levels,
  { step, tau, compression }: { step: number; tau: number; compression: Compression },
): Uint8Array {
  const deltas = deltasOf(levels);
  const shape = {
    kind: levels.kind,
    countWidth: widthOf(maxOf(levels.counts), [1, 2, 4]),
    idPlanes: widthOf(maxOf(deltas), [2, 3, 4]),
    positions: levels.counts.length,
    entries: levels.ids.length,
  };
  const raw = new Uint8Array(rawBytes(shape));
  const counts =
    shape.countWidth === 1
      ? new Uint8Array(levels.counts)
      : shape.countWidth === 2
        ? new Uint16Array(levels.counts)
        : levels.counts;
  raw.set(new Uint8Array(counts.buffer, counts.byteOffset, counts.byteLength));
  let at = counts.byteLength;
  if (levels.kind === 'scaled') at = split(raw, levels.rest, { at, bytes: 2 });
  at = split(raw, deltas, { at, bytes: shape.idPlanes });
  split(raw, levels.levels, { at, bytes: 2 });
  const header: FrameHeader = { ...shape, compression, step, tau, rawBytes: raw.length };
  return writeFrame(header, compressions[compression].compress(raw));
}

/**
 * Decodes a frame to its integers. `count`: the sample's number of positions, where it is known.
 * Throws `frame-damaged`; never gives a wrong row.
 */
export function decodePlanes(
  frame: Uint8Array,
  { width, count }: { width: number; count?: number },
): { header: FrameHeader; levels: Levels } {
  const header = checkFrame(frame);
  const { positions: n, entries: m } = header;
  // before anything is decompressed: together they bound what comes out
  if (n !== (count ?? n)) throw damaged('it holds another number of positions', count, n);
  if (m > n * width) throw damaged('it holds more entries than ids', n * width, m);
  const raw = decompress(frame, header);
  let at = n * header.countWidth;
  const counts = countsOf(raw.subarray(0, at), header.countWidth);
  const rest = new Uint16Array(header.kind === 'scaled' ? n : 0);
  for (let t = 0; t < rest.length; t++) rest[t] = raw[at + t] | (raw[at + n + t] << 8);
  at += 2 * rest.length;
  const ids = idsOf(raw, { at, header, counts, width });
  at += m * header.idPlanes;
  const levels = new Uint16Array(m);
  for (let i = 0; i < m; i++) levels[i] = raw[at + i] | (raw[at + m + i] << 8);
  if (header.kind === 'scaled' && levels.includes(0)) throw damaged('a level is 0', '≥ 1', 0);
  return { header, levels: { kind: header.kind, counts, ids, levels, rest } };
}

function decompress(frame: Uint8Array, header: FrameHeader): Uint8Array {
  try {
    return compressions[header.compression].decompress(frame.subarray(40), header.rawBytes);
  } catch (cause) {
    throw damaged(
      `its block does not decompress (${(cause as Error).message})`,
      `${header.rawBytes} bytes`,
      'an error',
    );
  }
}

function countsOf(bytes: Uint8Array, width: number): Uint32Array {
  if (width === 1) return new Uint32Array(bytes);
  const aligned = new Uint8Array(bytes);
  if (width === 2) return new Uint32Array(new Uint16Array(aligned.buffer));
  return new Uint32Array(aligned.buffer);
}

function idsOf(
  raw: Uint8Array,
  context: { at: number; header: FrameHeader; counts: Uint32Array; width: number },
): Uint32Array {
  const { at, header, counts, width } = context;
  const m = header.entries;
  const ids = new Uint32Array(m);
  for (let plane = 0; plane < header.idPlanes; plane++) {
    const from = at + plane * m;
    const factor = 256 ** plane;
    for (let i = 0; i < m; i++) ids[i] += raw[from + i] * factor;
  }
  let i = 0;
  for (let t = 0; t < counts.length; t++) {
    const end = i + counts[t];
    if (end > m) throw damaged('its counts exceed its entries', m, end);
    let before = -1;
    for (let id = 0; i < end; i++) {
      id += ids[i]; // in float64: cannot wrap
      if (id <= before || id >= width) {
        throw damaged('its ids do not ascend below V', `${before} < id < ${width}`, id);
      }
      ids[i] = id;
      before = id;
    }
  }
  if (i !== m) throw damaged('its counts do not add up to its entries', m, i);
  return ids;
}
