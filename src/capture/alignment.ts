/** The alignment self-test: a source must predict the next token, and no other, to be stored. */
import type { AlignmentCheck } from '../../schemas/manifest.ts';
import { rounded } from '../distribution/rounded.ts';
import type { Rows } from '../distribution/rows.ts';
import { outsideLogprob, shifts } from '../distribution/shifts.ts';
import { LogitcaskError } from '../errors.ts';
import { createRowKernel } from '../kernel/row.ts';
import type { Source } from './source.ts';

/** What the order of additions may change. */
const exactAgreement = 1e-5;
// a source whose rows are mostly empty is not read to its end
const rowsPerPositionMax = 64;

/** Log-prob of any token at row t. */
type Score = (t: number, token: number) => number;

/**
 * Mean log-prob of the token at t + 1 + shift under position t, over the source's first samples.
 * Throws `source-misaligned` unless shift 0 is the best.
 */
export async function checkAlignment(
  source: Source,
  { positionsMin = 256 }: { positionsMin?: number } = {},
): Promise<AlignmentCheck> {
  const sums = [0, 0, 0];
  let positions = 0;
  let rowsSeen = 0;
  let prompt: Int32Array | undefined;
  for await (const { sample, position, rows } of source.chunks(0)) {
    const { tokens } = sample;
    prompt ??= tokens.subarray(0, 16);
    const score = scorer(rows);
    for (let i = 0; i < rows.count; i++) {
      const t = position + i;
      if (t + 2 >= tokens.length || sample.mask[t] === 0 || isEmpty(rows, i)) continue;
      for (const [k, shift] of shifts.entries()) sums[k] += score(i, tokens[t + 1 + shift]);
      positions++;
    }
    rowsSeen += rows.count;
    if (positions >= positionsMin || rowsSeen >= positionsMin * rowsPerPositionMax) break;
  }
  const [before, at, after] = sums.map((sum) => rounded(sum / Math.max(1, positions)));
  if (positions > 0 && !(at > before && at > after)) throw misaligned({ before, at, after });
  if (prompt !== undefined) await checkCausality(source, prompt);
  return { positions, before, at, after };
}

function isEmpty(rows: Rows, t: number): boolean {
  return rows.form === 'lists' && rows.offsets[t] === rows.offsets[t + 1];
}

function scorer(rows: Rows): Score {
  if (rows.form === 'dense') {
    const { width, type, values } = rows;
    const kernel = createRowKernel({ k: 1, width, type, temperatures: [] });
    let loaded = -1;
    return (t, token) => {
      if (loaded !== t) kernel.run(values, t * width);
      loaded = t;
      return Math.max(kernel.logprob(token), -100); // a masked vocabulary gives −inf
    };
  }
  const { offsets, ids, logprobs, tail, width } = rows;
  return (t, token) => {
    let kept = 0;
    for (let i = offsets[t]; i < offsets[t + 1]; i++) {
      if (ids[i] === token) return logprobs[i];
      kept += Math.exp(logprobs[i]);
    }
    const outside = tail?.[t] ?? 1 - kept;
    return outsideLogprob(outside, width - (offsets[t + 1] - offsets[t]));
  };
}

function misaligned(found: { before: number; at: number; after: number }): LogitcaskError {
  const isEarly = found.before > found.after;
  const best = isEarly ? '−1 (the token itself)' : '+1 (one token too late)';
  const message =
    `capture: the distributions fit shift ${best} better than the next token ` +
    `(mean log-prob ${found.before} / ${found.at} / ${found.after} at shifts −1 / 0 / +1); ` +
    `shift the token file, or the rows, by one${isEarly ? ' (lists: --aligned tokens)' : ''}`;
  return new LogitcaskError('source-misaligned', message, {
    expected: 'best at shift 0',
    got: found,
  });
}

/** Two prompts that differ in the last token must agree at all positions before it. */
async function checkCausality(source: Source, prompt: Int32Array): Promise<void> {
  if (source.score === undefined || prompt.length < 2) return;
  const { agreement: agreementMax = exactAgreement } = source;
  const other = prompt.slice();
  other[other.length - 1] = (other[other.length - 1] + 1) % source.identity.vocabulary;
  const [a, b] = [await source.score(prompt), await source.score(other)];
  const [scoreA, scoreB] = [scorer(a), scorer(b)];
  const all = Uint32Array.from({ length: a.width }, (_, id) => id);
  for (let t = 0; t + 1 < prompt.length; t++) {
    const ids = a.form === 'dense' ? all : a.ids.subarray(a.offsets[t], a.offsets[t + 1]);
    const gap = ids.reduce(
      (most, id) => Math.max(most, Math.abs(scoreA(t, id) - scoreB(t, id))),
      0,
    );
    if (!(gap <= agreementMax)) {
      throw new LogitcaskError(
        'source-misaligned',
        `capture: position ${t} changes by ${gap} with a later token; take a causal teacher`,
        { expected: `a difference of at most ${agreementMax}`, got: gap },
      );
    }
  }
}
