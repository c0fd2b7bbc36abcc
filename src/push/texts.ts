/** The texts of a pushed body: hostile until every value was looked at. */
import type { TextUpload } from '../../schemas/upload.ts';
import type { ListSample } from '../capture/lists-sample.ts';
import { createListCheck, type ListCheck, orderList } from '../capture/top-list.ts';
import type { ListRows } from '../distribution/rows.ts';
import { LogitcaskError } from '../errors.ts';
import type { Columns, ColumnTypes } from '../formats/arrow.ts';
import { canonicalJson } from '../formats/canonical.ts';
import { int32Of, list, primitive, unpackBits } from '../formats/layout.ts';
import { arrowBody, invalidBody, metaOf } from '../serve/request-body.ts';
import {
  cellOf,
  checkLengths,
  float32Of,
  type Lists,
  lengthOf,
  listRows,
  listsOf,
  positionsMax,
  type TargetCells,
  targetCells,
} from './cells.ts';

/** A label that is kept must have its log-prob; the one in the list was rounded on the same way. */
const labelSlack = 0.01;
/** Around log τ: another machine's logarithm. */
const tauSlack = 1e-5;

/** Throws `request-invalid`, `token-out-of-range`, `row-invalid`. */
export function* textsOf(body: Buffer, request: TextUpload): Generator<ListSample> {
  const { types, batches } = arrowBody(body);
  const { target_set: set } = request;
  checkTypes(types, set);
  const check = createListCheck(request.vocabulary);
  let row = 0;
  for (const batch of batches) {
    const cells = cellsOf(batch, set);
    for (let i = 0; i < batch.tokens.rows; i++) {
      yield sampleOf(cells, i, { request, check, place: `sample ${row++}` });
    }
  }
  if (row === 0) throw invalidBody('the shard holds no samples', 'a sample or more', 0);
}

/** Log of τ as it is kept. */
export const logTau = (tau: number): number => Math.fround(Math.log(Math.fround(tau)));

const floats = list(primitive('float32'));

function columnsOf(set: string): ColumnTypes {
  return {
    tokens: list(primitive('int32')),
    mask: list({ type: 'bool' }),
    meta: { type: 'utf8' },
    [`${set}_counts`]: list(primitive('uint32')),
    [`${set}_ids`]: list(primitive('uint32')),
    [`${set}_logprobs`]: floats,
    [`${set}_label_logprob`]: floats,
  };
}

function checkTypes(types: ColumnTypes, set: string): void {
  const { [`${set}_rest`]: rest, ...others } = types;
  const expected = columnsOf(set);
  const isRest = rest === undefined || canonicalJson(rest) === canonicalJson(floats);
  if (isRest && canonicalJson(others) === canonicalJson(expected)) return;
  throw invalidBody('the shard does not have the documented columns', expected, types);
}

interface Cells {
  readonly tokens: Lists<Int32Array>;
  readonly mask: Lists<Uint8Array>;
  readonly meta: Lists<Uint8Array>;
  readonly targets: TargetCells;
  readonly labels: Lists<Float32Array>;
}

function cellsOf(batch: Columns, set: string): Cells {
  return {
    tokens: listsOf(batch.tokens, int32Of),
    mask: listsOf(batch.mask, unpackBits),
    meta: listsOf(batch.meta, (bytes) => bytes),
    targets: targetCells(batch, set),
    labels: listsOf(batch[`${set}_label_logprob`], float32Of),
  };
}

interface Reading {
  readonly request: TextUpload;
  readonly check: ListCheck;
  readonly place: string;
}

function sampleOf(cells: Cells, row: number, reading: Reading): ListSample {
  const { request, place } = reading;
  const tokens = cellOf(cells.tokens, row);
  const count = tokens.length;
  if (count === 0 || count > positionsMax) {
    throw invalidBody(`${place} has ${count} tokens`, `1 to ${positionsMax}`, count);
  }
  const t = tokens.findIndex((id) => !(id >= 0 && id < request.vocabulary));
  if (t >= 0) {
    const message = `push: ${place}: token ${tokens[t]} at ${t} is outside V`;
    const expected = `0 … ${request.vocabulary - 1}`;
    throw new LogitcaskError('token-out-of-range', message, { expected, got: tokens[t] });
  }
  const mask = cellOf(cells.mask, row);
  checkLengths(place, {
    mask: [mask.length, count],
    label_logprob: [lengthOf(cells.labels, row), count],
  });
  const rows: ListRows = {
    ...listRows(cells.targets, row, { count, width: request.vocabulary, place }),
    labelLogprob: cellOf(cells.labels, row),
    ...(request.sparsifier.type === 'threshold' && { drawn: Math.fround(request.sparsifier.tau) }),
  };
  checkRows(rows, { tokens, mask }, reading);
  const meta = Buffer.from(cellOf(cells.meta, row)).toString();
  return { tokens, mask, meta: metaOf(meta, `\`meta\` of ${place}`), rows };
}

function checkRows(
  rows: ListRows,
  { tokens, mask }: { tokens: Int32Array; mask: Uint8Array },
  { request: { sparsifier }, check, place }: Reading,
): void {
  const { count, offsets, ids, logprobs, tail, labelLogprob = new Float32Array(0) } = rows;
  if (mask[count - 1] === 1) throw invalidBody(`${place} learns what follows its end`, false, true);
  const isTopK = sparsifier.type === 'top-k';
  const most = isTopK ? sparsifier.k : Math.floor(1 / Math.fround(sparsifier.tau)) + 1;
  for (let t = 0; t < count; t++) {
    const at = () => `position ${t} of ${place}`;
    const [from, to] = [offsets[t], offsets[t + 1]];
    if (to - from > most) throw invalidBody(`${at()} has ${to - from} entries`, most, to - from);
    if (to === from && mask[t] === 1)
      throw invalidBody(`${at()} is learned from nothing`, '≥ 1', 0);
    const own = { ids: ids.subarray(from, to), logprobs: logprobs.subarray(from, to) };
    if (!isTopK) raiseToTau(own.logprobs, { tau: sparsifier.tau, at });
    orderList(own.ids, own.logprobs);
    // weights that were drawn sum to 1 within the one draw that may be more
    const massMax = isTopK ? 1 : 1 + sparsifier.tau;
    const massMin = isTopK && tail !== undefined && to > from ? 1 : 0;
    check(own.ids, own.logprobs, { place: at, tail: isTopK ? tail?.[t] : 0, massMax, massMin });
    if (t + 1 === count) continue;
    const exactAbove = isTopK ? Number.NEGATIVE_INFINITY : logTau(sparsifier.tau);
    checkLabel(own, { label: tokens[t + 1], logprob: labelLogprob[t], exactAbove, at });
  }
}

/** Weights at τ as they are kept; what lies below it cannot be. */
function raiseToTau(logprobs: Float32Array, { tau, at }: { tau: number; at: () => string }): void {
  const least = logTau(tau);
  for (const [i, logprob] of logprobs.entries()) {
    if (logprob > least + tauSlack) continue;
    if (!(logprob >= least - tauSlack)) {
      const message = `push: ${at()}: a weight is below tau; draw it, or leave it out`;
      throw new LogitcaskError('row-invalid', message, { expected: least, got: String(logprob) });
    }
    logprobs[i] = least;
  }
}

/** The label's log-prob and the list speak of the same distribution. */
function checkLabel(
  { ids, logprobs }: { ids: Uint32Array; logprobs: Float32Array },
  label: { label: number; logprob: number; exactAbove: number; at: () => string },
): void {
  const { logprob } = label;
  if (Number.isNaN(logprob)) return;
  const i = ids.indexOf(label.label);
  const expected = i >= 0 && logprobs[i] > label.exactAbove ? logprobs[i] : undefined;
  if (logprob <= labelSlack && (expected === undefined || close(logprob, expected))) return;
  const message = `push: ${label.at()}: the log-prob of the label is not that of the list`;
  const got = String(logprob);
  throw new LogitcaskError('row-invalid', message, { expected: expected ?? '≤ 0', got });
}

function close(a: number, b: number): boolean {
  return Math.abs(a - b) <= labelSlack * Math.max(1, Math.abs(b));
}
