/**
 * Decoding a raw block by the kernel. Undefined for a block that it refuses, has no memory for, or
 * cannot run for at all: the reference decodes it, or says what is wrong with it.
 */
import type { DecodedTargets } from '../distribution/targets.ts';
import { createDecoder, type Decoded, type DecodeInput, type Decoder } from '../kernel/decode.ts';
import { headerBytes } from './frame.ts';
import { type Levels, restMass } from './levels.ts';
import type { Block } from './planes-block.ts';

const decoder = createDecoder(restMass);
const uint32Max = 0xffffffff;

function decoded(
  block: Block,
  wanted: DecodeInput['wanted'],
  own: Decoder | undefined,
): Decoded | undefined {
  const { header, frame, width, chosen } = block;
  if (width === 0) return undefined;
  const isLz4 = header.compression === 'lz4'; // which the kernel decompresses
  const parts = isLz4 ? [frame] : [frame.subarray(0, headerBytes), block.raw()];
  return own?.({ parts, chosen, wanted, maxId: Math.min(width - 1, uint32Max) });
}

const lending: (Decoder | undefined)[] = [];

/** What it gives lies in the memory of a slot, and holds until the next call for that slot. */
export function lentTargets(block: Block, slot: number): DecodedTargets | undefined {
  while (lending.length <= slot) lending.push(createDecoder(restMass, { lends: true }));
  return compiledTargets(block, lending[slot]);
}

export function compiledTargets(block: Block, own = decoder): DecodedTargets | undefined {
  const found = decoded(block, 'values', own);
  if (found === undefined) return undefined;
  const { offsets, ids, probs, masses } = found;
  const { kind } = block.header;
  const rest = kind === 'scaled' ? masses : new Float32Array(0);
  return { kind, count: offsets.length - 1, offsets, ids, probs, rest };
}

export function compiledLevels(block: Block): Levels | undefined {
  const found = decoded(block, 'integers', decoder);
  if (found === undefined) return undefined;
  const { offsets, ids, levels, rests } = found;
  const { kind } = block.header;
  const counts = new Uint32Array(offsets.length - 1);
  for (let t = 0; t < counts.length; t++) counts[t] = offsets[t + 1] - offsets[t];
  return { kind, counts, ids, levels, rest: kind === 'scaled' ? rests : new Uint16Array(0) };
}
