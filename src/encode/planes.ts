/**
 * Codec `planes`: one compressed frame a sample, split into byte planes. Small, and decodes alone.
 */
import type { DecodedTargets, TargetKind, Targets } from '../distribution/targets.ts';
import type { Codec } from './codec.ts';
import { type Compression, compressions } from './compression.ts';
import { type FrameHeader, rawBytes, writeFrame } from './frame.ts';
import { type Grid, type Levels, quantise } from './levels.ts';
import { openBlock, type Reading } from './planes-block.ts';
import { compiledLevels, compiledTargets, lentTargets } from './planes-compiled.ts';
import { referenceLevels, referenceTargets } from './planes-reference.ts';

/** From here on several ZSTD frames, each of planes that are alike, are mostly smaller than one. */
const splitEntriesMin = 2048;

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
    decode: ([frame], count) => decodeFrame(frame, { width, count }),
    decodeLent([frame], { count, slot }) {
      const block = openBlock(frame, { width, count });
      return lentTargets(block, slot) ?? referenceTargets(block);
    },
  };
}

/** Bytes that hold every bit of `bits`. */
function widthOf(bits: number, widths: readonly number[]): number {
  return widths.find((bytes) => bits >>> 0 < 256 ** bytes)!;
}

function shapeOf({ kind, counts, ids }: Levels) {
  let countBits = 0;
  let deltaBits = 0;
  for (let t = 0, i = 0; t < counts.length; t++) {
    countBits |= counts[t];
    let before = 0;
    for (const end = i + counts[t]; i < end; i++) {
      deltaBits |= ids[i] - before;
      before = ids[i];
    }
  }
  return {
    kind,
    countWidth: widthOf(countBits, [1, 2, 4]),
    idPlanes: widthOf(deltaBits, [2, 3, 4]),
    positions: counts.length,
    entries: ids.length,
  };
}

export function encodePlanes(
  { kind, counts, ids, levels, rest }: Levels,
  { step, tau, compression }: Grid & { compression: Compression },
): Uint8Array {
  const shape = shapeOf({ kind, counts, ids, levels, rest });
  const { countWidth, idPlanes, entries } = shape;
  const raw = Buffer.allocUnsafe(rawBytes(shape)); // every byte is written
  let at = 0;
  for (let t = 0; t < counts.length; t++) {
    for (let byte = 0; byte < countWidth; byte++) raw[at++] = counts[t] >>> (8 * byte);
  }
  splitShorts(raw, rest, at);
  at += 2 * rest.length;
  for (let t = 0, i = 0; t < counts.length; t++) {
    let before = 0;
    for (const end = i + counts[t]; i < end; i++) {
      const delta = ids[i] - before;
      before = ids[i];
      raw[at + i] = delta;
      raw[at + entries + i] = delta >>> 8;
      if (idPlanes > 2) raw[at + 2 * entries + i] = delta >>> 16;
      if (idPlanes > 3) raw[at + 3 * entries + i] = delta >>> 24;
    }
  }
  splitShorts(raw, levels, at + idPlanes * entries);
  const header: FrameHeader = { ...shape, compression, step, tau, rawBytes: raw.length };
  const parts = entries < splitEntriesMin ? [raw] : partsOf(raw, shape);
  return writeFrame(header, compressions[compression].compress(raw, parts));
}

/** Counts, rest and low bytes of the deltas; their other bytes; low and high bytes of levels. */
function partsOf(raw: Uint8Array, { entries, idPlanes }: ReturnType<typeof shapeOf>) {
  const levels = raw.length - 2 * entries;
  const cuts = [0, levels - (idPlanes - 1) * entries, levels, levels + entries, raw.length];
  return cuts.slice(1).map((end, i) => raw.subarray(cuts[i], end));
}

/** Writes the low bytes of `values` from `at` on, then the high bytes. */
function splitShorts(raw: Uint8Array, values: Uint16Array, at: number): void {
  const high = at + values.length;
  for (let i = 0; i < values.length; i++) {
    raw[at + i] = values[i];
    raw[high + i] = values[i] >>> 8;
  }
}

/**
 * Decodes a frame to its integers; all positions, or those asked for. Throws `frame-damaged`;
 * never gives a wrong row.
 */
export function decodePlanes(
  frame: Uint8Array,
  reading: Reading,
): { header: FrameHeader; levels: Levels } {
  const block = openBlock(frame, reading);
  return { header: block.header, levels: compiledLevels(block) ?? referenceLevels(block) };
}

/**
 * Decodes a frame to ids and probabilities, as `dequantise` gives them of its integers; all
 * positions, or those asked for. Throws `frame-damaged`; never gives a wrong row.
 */
export function decodeFrame(frame: Uint8Array, reading: Reading): DecodedTargets {
  const block = openBlock(frame, reading);
  return compiledTargets(block) ?? referenceTargets(block);
}
