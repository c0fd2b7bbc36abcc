/** Lists of a cached sequence as they are answered. */
import type { ListRows } from '../distribution/rows.ts';
import type { ScoreAnswer } from '../serve/cached-teacher.ts';

export type CachedRows = ScoreAnswer['rows'];

/** The lists of the first `count` tokens; what follows the last one is not theirs. */
export function prefixOf(rows: ListRows, count: number): CachedRows {
  const offsets = rows.offsets.slice(0, count + 1);
  const end = offsets[count - 1];
  offsets[count] = end;
  const labelLogprob = labelled(rows).labelLogprob.slice(0, count);
  labelLogprob[count - 1] = Number.NaN;
  return {
    ...rows,
    count,
    offsets,
    ids: rows.ids.subarray(0, end),
    logprobs: rows.logprobs.subarray(0, end),
    tail: rows.tail?.subarray(0, count),
    labelLogprob,
  };
}

export function labelled(rows: ListRows): CachedRows {
  return {
    ...rows,
    labelLogprob: rows.labelLogprob ?? new Float32Array(rows.count).fill(Number.NaN),
  };
}
