/** The raw block of a frame: of targets by the kernel, or of levels, which is the reference. */
import type { TargetKind, Targets } from '../distribution/targets.ts';
import { createEncoder, type Encoder } from '../kernel/encode.ts';
import { rawBytes } from './frame.ts';
import { type Grid, type Levels, scoreMax } from './levels.ts';
import { thresholdsOf } from './thresholds.ts';

export interface RawBlock {
  readonly kind: TargetKind;
  /** Bytes of a count: 1, 2 or 4. */
  readonly countWidth: number;
  /** Planes of the ids: 2, 3 or 4. */
  readonly idPlanes: number;
  readonly positions: number;
  readonly entries: number;
  /** Of the kernel's block, it holds until the next one. */
  readonly raw: Uint8Array;
}

/** Made by the first who encodes: most commands and threads do not. */
let kernel: { readonly encode: Encoder | undefined } | undefined;

/** Undefined where there is no kernel, or no memory for so large a sample. */
export function compiledRaw(targets: Targets, { step, tau }: Grid): RawBlock | undefined {
  kernel ??= { encode: createEncoder() };
  const { lowest } = thresholdsOf(step);
  const found = kernel.encode?.({ targets, lowest, step, tau, scoreMax: scoreMax(step) });
  return found && { kind: targets.kind, positions: targets.count, ...found };
}

export function referenceRaw(own: Levels): RawBlock {
  const { counts, ids, levels, rest } = own;
  const shape = shapeOf(own);
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
  return { ...shape, raw };
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

/** Writes the low bytes of `values` from `at` on, then the high bytes. */
function splitShorts(raw: Uint8Array, values: Uint16Array, at: number): void {
  const high = at + values.length;
  for (let i = 0; i < values.length; i++) {
    raw[at + i] = values[i];
    raw[high + i] = values[i] >>> 8;
  }
}
