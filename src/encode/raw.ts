/** Codec `raw`: uint32 ids and float32 log-probs as they are. Lossless, and the reference. */

import type { DecodedTargets, TargetKind } from '../distribution/targets.ts';
import { LogitcaskError } from '../errors.ts';
import { list, primitive } from '../formats/layout.ts';
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
      const [counts, ids, logprobs, rest] = cells.map((cell) => new Uint8Array(cell).buffer);
      return decodeEntries({
        kind,
        width,
        count,
        counts: new Uint32Array(counts),
        ids: new Uint32Array(ids),
        logprobs: new Float32Array(logprobs),
        rest: kind === 'scaled' ? new Float32Array(rest) : new Float32Array(0),
      });
    },
  };
}

interface RawEntries extends RawOptions {
  count: number;
  counts: Uint32Array;
  ids: Uint32Array;
  logprobs: Float32Array;
  rest: Float32Array;
}

function decodeEntries(e: RawEntries): DecodedTargets {
  const offsets = new Uint32Array(e.count + 1);
  for (let t = 0; t < e.count; t++) offsets[t + 1] = offsets[t] + e.counts[t];
  const shapes = [e.counts.length, e.ids.length, e.logprobs.length, e.rest.length];
  const entries = offsets[e.count];
  const expected = [e.count, entries, entries, e.kind === 'scaled' ? e.count : 0];
  const outside = e.ids.some((id) => id >= e.width);
  if (outside || shapes.some((length, i) => length !== expected[i])) {
    throw new LogitcaskError(
      'frame-damaged',
      'raw: the columns of a sample contradict each other',
      {
        expected: `lengths ${expected}, ids below ${e.width}`,
        got: `lengths ${shapes}`,
      },
    );
  }
  const probs = new Float32Array(entries);
  for (let i = 0; i < entries; i++) probs[i] = Math.exp(e.logprobs[i]);
  return { kind: e.kind, count: e.count, offsets, ids: e.ids, probs, rest: e.rest };
}
