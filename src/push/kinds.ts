/** Uploads of texts and of images: what each asks of a data set, and how its bodies are read. */
import type { LabelSpace, Manifest } from '../../schemas/manifest.ts';
import type { TextUpload, UploadRequest, VisionUpload } from '../../schemas/upload.ts';
import { chunksOf } from '../capture/lists-sample.ts';
import type { Chunk, Head, SampleInput, TeacherIdentity, VisionFacts } from '../capture/source.ts';
import type { ListRows } from '../distribution/rows.ts';
import {
  labelSpaceDigest,
  labelSpaceOf,
  textSampleId,
  visionSampleId,
} from '../shard/sample-id.ts';
import { imagesOf } from './images.ts';
import { textsOf } from './texts.ts';

export interface PushedSample extends Omit<SampleInput, 'ordinal'> {
  /** One for each head. */
  readonly rows: readonly ListRows[];
}

/** What a manifest says of a target set that decides whether samples can lie beside its own. */
export interface PushedSet {
  readonly name: string;
  readonly normalisation: Head['normalisation'];
  readonly label_space?: LabelSpace;
  readonly sparsifier: Readonly<Record<string, unknown>>;
}

export interface Pushed {
  readonly labelSpace: LabelSpace;
  readonly sets: readonly PushedSet[];
  readonly identity: Pick<TeacherIdentity, 'vocabulary' | 'tokenizer' | 'reports'>;
  /** Of images, which predict nothing that follows: they have no alignment. */
  readonly vision?: VisionFacts;
  /** What its samples are called, for people. */
  readonly what: string;
  /** Throws `request-invalid`, `token-out-of-range`, `row-invalid`. */
  samplesOf(body: Buffer): Generator<PushedSample>;
  idOf(sample: PushedSample): Buffer;
}

export function pushedOf(request: UploadRequest): Pushed {
  return request.kind === 'vision' ? pushedImages(request) : pushedTexts(request);
}

/** A sample in chunks of bounded bytes, head by head. */
export function* pushedChunks({ rows, ...input }: PushedSample, ordinal: number): Generator<Chunk> {
  for (const [head, own] of rows.entries()) {
    for (const chunk of chunksOf({ ...input, rows: own }, ordinal)) yield { ...chunk, head };
  }
}

/** What of a snapshot must be as an upload has it. */
export function asPushed(manifest: Manifest): unknown {
  const { kind, label_space, input_fields, augmentation_pipeline, target_sets } = manifest;
  const sets = target_sets.map(({ name, normalisation, teacher, sparsifier, ...set }) => ({
    name,
    normalisation,
    label_space: set.label_space,
    teacher: { name: teacher.name, revision: teacher.revision, source: teacher.source },
    sparsifier: { type: sparsifier.name, ...sparsifier.parameters },
  }));
  return { kind, label_space, input_fields, augmentation_pipeline, sets };
}

/** The same of an upload. */
export function pushedManifest({ teacher }: UploadRequest, pushed: Pushed): unknown {
  const { labelSpace: label_space, vision } = pushed;
  const sets = pushed.sets.map((set) => ({ ...set, teacher: { ...teacher, source: 'push' } }));
  return {
    kind: vision === undefined ? 'text' : 'vision',
    label_space,
    input_fields: vision?.fields,
    augmentation_pipeline: vision?.pipeline ?? null,
    sets,
  };
}

function pushedTexts(request: TextUpload): Pushed {
  const { vocabulary, tokenizer, target_set: name, sparsifier } = request;
  const labelSpace = labelSpaceOf(request);
  const digest = labelSpaceDigest(labelSpace);
  const reports = sparsifier.type === 'threshold' ? 'whole' : 'top-list';
  return {
    labelSpace,
    sets: [{ name, normalisation: 'softmax', sparsifier }],
    identity: { vocabulary, tokenizer, reports },
    what: 'sequences',
    *samplesOf(body) {
      for (const { rows, ...sample } of textsOf(body, request)) yield { ...sample, rows: [rows] };
    },
    idOf: (sample) => textSampleId(digest, sample),
  };
}

function pushedImages(request: VisionUpload): Pushed {
  const { heads: given, input_fields: fields, augmentation_pipeline: pipeline } = request;
  const heads = given.map(({ name, size, classes: names, normalisation }) => {
    const labelSpace = { kind: 'classes' as const, size, tokenizer: null, names };
    return { name, labelSpace, normalisation };
  });
  const [{ labelSpace }] = heads;
  const space = { labelSpace: labelSpaceDigest(labelSpace), pipeline, fields };
  const own = labelSpaceDigest;
  const sets = heads.map((head) => ({
    name: head.name,
    normalisation: head.normalisation,
    label_space: own(head.labelSpace).equals(space.labelSpace) ? undefined : head.labelSpace,
    sparsifier: { type: 'top-k', k: Math.min(request.sparsifier.k, head.labelSpace.size) },
  }));
  return {
    labelSpace,
    sets,
    identity: { vocabulary: labelSpace.size, tokenizer: null, reports: 'top-list' },
    vision: { heads, fields, pipeline },
    what: 'images',
    samplesOf: (body) => imagesOf(body, request),
    idOf: ({ image, mask }) =>
      visionSampleId(space, { inputRef: image?.ref ?? '', mask, values: image?.values ?? [] }),
  };
}
