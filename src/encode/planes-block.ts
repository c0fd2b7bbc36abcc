/** A checked frame, its raw block, and the positions that are asked of it. */
import { LogitcaskError } from '../errors.ts';
import { compressions } from './compression.ts';
import { checkFrame, damaged, type FrameHeader, headerBytes } from './frame.ts';

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
  readonly frame: Uint8Array;
  /** The raw block, decompressed once. Throws `frame-damaged`. */
  raw(): Uint8Array;
  readonly width: number;
  /** Positions asked for, all where absent. */
  readonly chosen: Uint32Array | undefined;
}

/** Checks a frame. Throws `frame-damaged`. */
export function openBlock(frame: Uint8Array, { width, count, positions }: Reading): Block {
  const header = checkFrame(frame);
  const { positions: n, entries: m } = header;
  // before anything is decompressed: together they bound what comes out
  if (n !== (count ?? n)) throw damaged('it holds another number of positions', count, n);
  if (m > n * width) throw damaged('it holds more entries than ids', n * width, m);
  const chosen = positions === undefined ? undefined : checkedPositions(positions, n);
  let found: Uint8Array | undefined;
  const raw = () => {
    found ??= decompress(frame, header);
    return found;
  };
  return { header, frame, raw, width, chosen };
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
