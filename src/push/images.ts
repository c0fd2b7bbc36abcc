/** The images of a pushed body: hostile until every value was looked at. */
import type { VisionUpload } from '../../schemas/upload.ts';
import type { ImageInput, SampleInput } from '../capture/source.ts';
import { createListCheck, type ListCheck, orderList } from '../capture/top-list.ts';
import type { ListRows } from '../distribution/rows.ts';
import { fieldBytes } from '../encode/input-frame.ts';
import { LogitcaskError } from '../errors.ts';
import type { Columns, ColumnTypes } from '../formats/arrow.ts';
import { canonicalJson } from '../formats/canonical.ts';
import { cellsOf } from '../formats/cells.ts';
import { list, primitive, unpackBits } from '../formats/layout.ts';
import { arrowBody, invalidBody, metaOf } from '../serve/request-body.ts';
import { fieldLists } from '../shard/inputs.ts';
import {
  cellOf,
  checkLengths,
  type Lists,
  listRows,
  listsOf,
  positionsMax,
  type TargetCells,
  targetCells,
} from './cells.ts';

export interface PushedImage extends Omit<SampleInput, 'ordinal'> {
  readonly image: ImageInput;
  /** One for each head. */
  readonly rows: readonly ListRows[];
}

type UploadHead = VisionUpload['heads'][number];

/** Throws `request-invalid`, `token-out-of-range`, `row-invalid`. */
export function* imagesOf(body: Buffer, request: VisionUpload): Generator<PushedImage> {
  const { types, batches } = arrowBody(body);
  const expected = columnsOf(request);
  if (canonicalJson(types) !== canonicalJson(expected)) {
    throw invalidBody('the shard does not have the documented columns', expected, types);
  }
  const checks = request.heads.map(({ size }) => createListCheck(size));
  let row = 0;
  for (const batch of batches) {
    const cells = cellsIn(batch, request);
    for (let i = 0; i < batch.mask.rows; i++) {
      yield imageOf(cells, i, { request, checks, place: `image ${row++}` });
    }
  }
  if (row === 0) throw invalidBody('the shard holds no images', 'an image or more', 0);
}

function columnsOf({ heads, input_fields }: VisionUpload): ColumnTypes {
  const sets = heads.flatMap(({ name, normalisation }) => [
    [`${name}_counts`, list(primitive('uint32'))],
    [`${name}_ids`, list(primitive('uint32'))],
    [`${name}_logprobs`, list(primitive('float32'))],
    ...(normalisation === 'softmax' ? [[`${name}_rest`, list(primitive('float32'))]] : []),
  ]);
  return {
    input_ref: { type: 'utf8' },
    mask: list({ type: 'bool' }),
    meta: { type: 'utf8' },
    ...fieldLists(input_fields),
    ...Object.fromEntries(sets),
  };
}

interface Cells {
  readonly refs: readonly Uint8Array[];
  readonly mask: Lists<Uint8Array>;
  readonly metas: readonly Uint8Array[];
  /** By field, then by row. */
  readonly fields: readonly (readonly Uint8Array[])[];
  readonly heads: readonly TargetCells[];
}

function cellsIn(batch: Columns, { heads, input_fields }: VisionUpload): Cells {
  return {
    refs: cellsOf(batch.input_ref, 1),
    mask: listsOf(batch.mask, unpackBits),
    metas: cellsOf(batch.meta, 1),
    fields: input_fields.map((field) =>
      cellsOf(batch[field.name], fieldBytes(field) / field.items),
    ),
    heads: heads.map(({ name }) => targetCells(batch, name)),
  };
}

interface Reading {
  readonly request: VisionUpload;
  readonly checks: readonly ListCheck[];
  readonly place: string;
}

function imageOf(cells: Cells, row: number, { request, checks, place }: Reading): PushedImage {
  const { heads, input_fields: fields } = request;
  const mask = cellOf(cells.mask, row);
  const count = mask.length;
  if (count === 0 || count > positionsMax) {
    throw invalidBody(`${place} has ${count} positions`, `1 to ${positionsMax}`, count);
  }
  const values = fields.map((field, i) => {
    const bytes = Uint8Array.from(cells.fields[i][row]);
    const got = (bytes.length / fieldBytes(field)) * field.items;
    checkLengths(place, { [field.name]: [got, count * field.items] });
    if (field.type === 'float32') refuseInfinite(bytes, `${field.name} of ${place}`);
    return bytes;
  });
  const rows = heads.map((head, i) => {
    const own = listRows(cells.heads[i], row, { count, width: head.size, place });
    checkRows(own, mask, { head, k: request.sparsifier.k, check: checks[i], place });
    return own;
  });
  const meta = Buffer.from(cells.metas[row]).toString();
  return {
    tokens: new Int32Array(0),
    mask,
    meta: metaOf(meta, `\`meta\` of ${place}`),
    image: {
      ref: refOf(Buffer.from(cells.refs[row]).toString(), place),
      values,
      labels: labelsOf(values[fields.findIndex(({ name }) => name === 'hard_label')], {
        count,
        size: heads[0].size,
        place,
      }),
    },
    rows,
  };
}

/** As it is kept: canonical JSON of `sha256` and `uri`. */
function refOf(text: string, place: string): string {
  try {
    const { sha256, uri } = JSON.parse(text);
    const isImage = /^[0-9a-f]{64}$/.test(sha256) && typeof uri === 'string';
    if (isImage && canonicalJson({ sha256, uri }) === text) return text;
  } catch {
    // no JSON: refused below
  }
  const expected = '{"sha256":"64 hex digits","uri":"text"}';
  throw invalidBody(`input_ref of ${place} is no canonical JSON of an image`, expected, text);
}

function refuseInfinite(bytes: Uint8Array, what: string): void {
  const got = new Float32Array(bytes.buffer).find((value) => !Number.isFinite(value));
  if (got !== undefined) throw invalidBody(`${what} is no number`, 'finite', String(got));
}

function labelsOf(
  bytes: Uint8Array | undefined,
  { count, size, place }: { count: number; size: number; place: string },
): Int32Array {
  if (bytes === undefined) return new Int32Array(count).fill(-100);
  const labels = new Int32Array(bytes.buffer);
  const got = labels.find((label) => label >= size || (label < 0 && label !== -100));
  if (got === undefined) return labels;
  const message = `push: ${place} has the hard label ${got}; it is a class, or -100`;
  throw new LogitcaskError('token-out-of-range', message, { expected: `0 … ${size - 1}`, got });
}

function checkRows(
  { count, offsets, ids, logprobs, tail }: ListRows,
  mask: Uint8Array,
  { head, k, check, place }: { head: UploadHead; k: number; check: ListCheck; place: string },
): void {
  const isSoftmax = head.normalisation === 'softmax';
  const most = Math.min(k, head.size);
  // scores of their own need not sum to 1
  const massMax = isSoftmax ? 1 : Number.POSITIVE_INFINITY;
  for (let t = 0; t < count; t++) {
    const at = () => `${head.name} at position ${t} of ${place}`;
    const [from, to] = [offsets[t], offsets[t + 1]];
    if (to - from > most) throw invalidBody(`${at()} has ${to - from} entries`, most, to - from);
    if (isSoftmax && to === from && mask[t] === 1) {
      throw invalidBody(`${at()} is learned from nothing`, '≥ 1', 0);
    }
    const own = { ids: ids.subarray(from, to), logprobs: logprobs.subarray(from, to) };
    orderList(own.ids, own.logprobs);
    const massMin = isSoftmax && to > from ? 1 : 0;
    check(own.ids, own.logprobs, { place: at, tail: isSoftmax ? tail?.[t] : 0, massMax, massMin });
  }
}
