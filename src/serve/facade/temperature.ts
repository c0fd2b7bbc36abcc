/** Lists at another temperature than 1: approximate, since a list does not say what its tail is. */

import type { ScoreAnswer } from '../cached-teacher.ts';
import { spreadLogZ } from '../layouts/dense-row.ts';
import { restOf } from '../score-reply.ts';

/** The rest is spread uniformly over the ids that are in no list. */
export function atTemperature(rows: ScoreAnswer['rows'], temperature: number): ScoreAnswer['rows'] {
  if (temperature === 1) return rows;
  const { count, offsets, logprobs, width } = rows;
  const scale = 1 / temperature;
  const rest = restOf(rows);
  const scaled = new Float32Array(logprobs.length);
  const labels = new Float32Array(count).fill(Number.NaN);
  for (let position = 0; position < count - 1; position++) {
    const logZ = spreadLogZ({ offsets, logprobs, rest }, { position, scale, width });
    for (let i = offsets[position]; i < offsets[position + 1]; i++) {
      scaled[i] = logprobs[i] * scale - logZ;
    }
    labels[position] = rows.labelLogprob[position] * scale - logZ;
  }
  return { ...rows, logprobs: scaled, labelLogprob: labels, tail: undefined };
}
