/**
 * Codec `planes`: one compressed frame a sample, split into byte planes. Small, and decodes alone.
 */
import type { DecodedTargets, TargetKind, Targets } from '../distribution/targets.ts';
import type { Codec } from './codec.ts';
import { type Compression, compressions } from './compression.ts';
import { type FrameHeader, writeFrame } from './frame.ts';
import { type Grid, type Levels, quantise } from './levels.ts';
import { openBlock, type Reading } from './planes-block.ts';
import { compiledLevels, compiledTargets, lentTargets } from './planes-compiled.ts';
import { compiledRaw, type RawBlock, referenceRaw } from './planes-raw.ts';
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
    encode: (targets: Targets) => [encodeTargets(targets, { ...grid, compression })],
    decode: ([frame], count) => decodeFrame(frame, { width, count }),
    decodeLent([frame], { count, slot }) {
      const block = openBlock(frame, { width, count });
      return lentTargets(block, slot) ?? referenceTargets(block);
    },
  };
}

type FrameOptions = Grid & { readonly compression: Compression };

/** The frame of targets; `encodePlanes` gives the same of their levels. */
export function encodeTargets(targets: Targets, options: FrameOptions): Uint8Array {
  const block = compiledRaw(targets, options) ?? referenceRaw(quantise(targets, options));
  return frameOf(block, options);
}

export function encodePlanes(levels: Levels, options: FrameOptions): Uint8Array {
  return frameOf(referenceRaw(levels), options);
}

function frameOf(block: RawBlock, { step, tau, compression }: FrameOptions): Uint8Array {
  const { raw, ...shape } = block;
  const header: FrameHeader = { ...shape, compression, step, tau, rawBytes: raw.length };
  const parts = shape.entries < splitEntriesMin ? [raw] : partsOf(block);
  return writeFrame(header, compressions[compression].compress(raw, parts));
}

/** Counts, rest and low bytes of the deltas; their other bytes; low and high bytes of levels. */
function partsOf({ raw, entries, idPlanes }: RawBlock) {
  const levels = raw.length - 2 * entries;
  const cuts = [0, levels - (idPlanes - 1) * entries, levels, levels + entries, raw.length];
  return cuts.slice(1).map((end, i) => raw.subarray(cuts[i], end));
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
