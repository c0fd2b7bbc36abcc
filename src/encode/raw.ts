/** Codec `raw`: uint32 ids and float32 log-probs as they are. Lossless, and the reference. */

import type { DecodedTargets, TargetKind } from '../distribution/targets.ts';
import { LogitcaskError } from '../errors.ts';
import { int32Of, list, primitive } from '../formats/layout.ts';
import type { Codec } from './codec.ts';

export interface RawOptions {
  readonly kind: TargetKind;
  /** V, the size of the label space. */
  readonly width: number;
}

const uint32List = list(primitive('uint32'));
const float32List = list(primitive('float32'));

export function raw({ kind, width }: RawOptions): Codec {
  const entries = { counts: uint32List, ids: uint32List, logprobs: float32List };
  return {
    name: 'raw',
    parameters: {},
    columns: kind === 'scaled' ? { ...entries, rest: float32List } : entries,
    encode({ count, offsets, ids, logprobs, rest }) {
      const counts = Uint32Array.from({ length: count }, (_, t) => offsets[t + 1] - offsets[t]);
      return kind === 'scaled' ? [counts, ids, logprobs, rest] : [counts, ids, logprobs];
    },
    decode(cells, count): DecodedTargets {
      const { logprobs, ...entries } = readRaw(cells, { kind, width, count });
      const probs = new Float32Array(logprobs.length);
      for (let i = 0; i < probs.length; i++) probs[i] = Math.exp(logprobs[i]);
      return { kind, count, ...entries, probs };
    },
  };
}

/** Entries as stored: log-probs, in rank order. */
export interface RawEntries {
  /** Length count + 1. */
  readonly offsets: Uint32Array;
  readonly ids: Uint32Array;
  readonly logprobs: Float32Array;
  /** Residual mass, length count; empty for unbiased targets. */
  readonly rest: Float32Array;
}

/** Views of aligned cells, else copies. Throws `frame-damaged` where they contradict each other. */
export function readRaw(
  cells: readonly Uint8Array[],
  { kind, width, count }: RawOptions & { count: number },
): RawEntries {
  const [countBytes, idBytes, logprobBytes, ...restBytes] = cells.map((cell) => {
    if (cell.byteLength % 4 !== 0) throw contradiction('whole 32-bit values', cell.byteLength);
    return int32Of(cell);
  });
  const [counts, ids] = [countBytes, idBytes].map(
    ({ buffer, byteOffset, length }) => new Uint32Array(buffer, byteOffset, length),
  );
  const [logprobs, rest = new Float32Array(0)] = [logprobBytes, ...restBytes].map(
    ({ buffer, byteOffset, length }) => new Float32Array(buffer, byteOffset, length),
  );
  const offsets = new Uint32Array(count + 1);
  let entries = 0; // in float64: cannot wrap
  for (let t = 0; t < count; t++) {
    entries += counts[t];
    offsets[t + 1] = entries;
  }
  const shapes = [counts.length, ids.length, logprobs.length, rest.length];
  const expected = [count, entries, entries, kind === 'scaled' ? count : 0];
  let outside = false;
  for (let i = 0; i < ids.length; i++) outside ||= ids[i] >= width;
  if (outside || shapes.some((length, i) => length !== expected[i])) {
    throw contradiction(`lengths ${expected}, ids below ${width}`, `lengths ${shapes}`);
  }
  return { offsets, ids, logprobs, rest };
}

function contradiction(expected: string, got: unknown): LogitcaskError {
  const message = 'raw: the columns of a sample contradict each other';
  return new LogitcaskError('frame-damaged', message, { expected, got });
}
