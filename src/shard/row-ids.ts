/** The sample ids of stored rows, taken again from what is stored. */
import type { Manifest } from '../../schemas/manifest.ts';
import type { Columns } from '../formats/arrow.ts';
import { cellsOf } from '../formats/cells.ts';
import { int32Of, unpackBits } from '../formats/layout.ts';
import { visionInputs } from './inputs.ts';
import { labelSpaceDigest, textSampleId, visionSampleId } from './sample-id.ts';

/** By row of all columns of a snapshot. Throws `frame-damaged`, `shard-damaged`. */
export function rowSampleIds(manifest: Manifest, columns: Columns): (row: number) => Buffer {
  const labelSpace = labelSpaceDigest(manifest.label_space);
  if (manifest.kind === 'vision') {
    const { input_fields: fields = [], augmentation_pipeline: pipeline } = manifest;
    const space = { labelSpace, pipeline, fields };
    return (row) => visionSampleId(space, visionInputs({ columns, fields }, row));
  }
  const tokens = cellsOf(columns.tokens, 4);
  const [offsets, bits] = columns.mask.buffers;
  const starts = int32Of(offsets);
  return (row) => {
    const mask = unpackBits(bits, starts[row + 1]).subarray(starts[row]);
    return textSampleId(labelSpace, { tokens: int32Of(tokens[row]), mask });
  };
}
