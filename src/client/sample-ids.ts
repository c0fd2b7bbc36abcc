/** Rows of a batch against their sample ids: what no frame's checksum covers. */
import type { LabelSpace } from '../../schemas/manifest.ts';
import { LogitcaskError } from '../errors.ts';
import type { Columns, ColumnTypes } from '../formats/arrow.ts';
import { int32Of, unpackBits } from '../formats/layout.ts';
import { visionInputs } from '../shard/inputs.ts';
import {
  labelSpaceDigest,
  sampleIdBytes,
  textSampleId,
  type VisionSpace,
  visionSampleId,
} from '../shard/sample-id.ts';

/** Plans of packs: where each row begins in its sample, and how many positions that has. */
export interface Spans {
  readonly first: Int32Array;
  readonly samples: Int32Array;
}

export interface Received {
  readonly types: ColumnTypes;
  readonly columns: Columns;
  readonly rows: number;
  readonly spans: Spans | undefined;
}

/** What layout `dense` says of its rows, before anything is made of so many positions. */
export function checkLengths({ types, columns, rows }: Received): void {
  if (types.mask.type !== 'fixed_list') return;
  const { size } = types.mask;
  const lengths = int32Of(columns.length.buffers[0]).subarray(0, rows);
  const got = lengths.find((length) => length < 0 || length > size);
  if (got === undefined) return;
  const text = `client: a row of ${got} positions does not fit the ${size} of its layout`;
  throw new LogitcaskError('reply-invalid', text, { expected: `0 … ${size}`, got });
}

/** Content addresses prove what no frame's checksum covers; parts of samples have none. */
export function checkSampleIds(
  { types, columns, rows, spans }: Received,
  labelSpace: LabelSpace,
): void {
  const { sample_id, tokens, mask, length } = columns;
  const fixed = types.tokens.type === 'fixed_list' ? types.tokens.size : undefined;
  const buffer = fixed === undefined ? 1 : 0;
  const starts = int32Of(fixed === undefined ? tokens.buffers[0] : length.buffers[0]);
  const ids = int32Of(tokens.buffers[buffer]);
  const learned = unpackBits(mask.buffers[buffer], ids.length);
  const digest = labelSpaceDigest(labelSpace);
  for (let row = 0; row < rows; row++) {
    const from = fixed === undefined ? starts[row] : row * fixed;
    const to = fixed === undefined ? starts[row + 1] : from + starts[row];
    if (spans !== undefined && spans.samples[row] !== to - from) continue;
    const sample = { tokens: ids.subarray(from, to), mask: learned.subarray(from, to) };
    const stated = sample_id.buffers[0].subarray(row * sampleIdBytes, (row + 1) * sampleIdBytes);
    if (textSampleId(digest, sample).equals(stated)) continue;
    const text = `client: tokens or mask of row ${row} have another sample id than came with them`;
    throw new LogitcaskError('reply-invalid', text, {
      expected: Buffer.from(stated).toString('hex'),
    });
  }
}

/** The same for what there is of images. */
export function checkImages({ types, columns, rows }: Received, space: VisionSpace): void {
  const { fields } = space;
  const length = types.mask.type === 'fixed_list' ? types.mask.size : undefined;
  for (let row = 0; row < rows; row++) {
    const padded =
      length === undefined
        ? undefined
        : { length, positions: int32Of(columns.length.buffers[0])[row] };
    const stated = columns.sample_id.buffers[0].subarray(
      row * sampleIdBytes,
      (row + 1) * sampleIdBytes,
    );
    if (visionSampleId(space, visionInputs({ columns, fields }, row, padded)).equals(stated))
      continue;
    const text = `client: the inputs of row ${row} have another sample id than came with them`;
    throw new LogitcaskError('reply-invalid', text, {
      expected: Buffer.from(stated).toString('hex'),
    });
  }
}
