/** The label space of a source's snapshot, and the ids of its samples. */
import type { LabelSpace } from '../../schemas/manifest.ts';
import type { SampleInput, Source } from '../capture/source.ts';
import {
  labelSpaceDigest,
  labelSpaceOf,
  textSampleId,
  visionSampleId,
} from '../shard/sample-id.ts';

export type SampleIds = (sample: SampleInput) => Buffer;

export function snapshotLabelSpace({ identity, vision }: Source): LabelSpace {
  return vision?.heads[0].labelSpace ?? labelSpaceOf(identity);
}

export function sampleIdsOf(source: Source): SampleIds {
  const labelSpace = labelSpaceDigest(snapshotLabelSpace(source));
  const { vision } = source;
  return ({ tokens, mask, image }) => {
    if (image === undefined || vision === undefined)
      return textSampleId(labelSpace, { tokens, mask });
    const { ref: inputRef, values } = image;
    return visionSampleId({ labelSpace, ...vision }, { inputRef, mask, values });
  };
}

/** Samples with their ids. */
export function* identified(samples: Iterable<SampleInput>, idOf: SampleIds) {
  for (const sample of samples) yield { sampleId: idOf(sample), mask: sample.mask };
}
