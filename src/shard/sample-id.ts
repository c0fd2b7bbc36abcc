/** Content addresses: equal inputs have equal ids in every build, shard and machine. */
import { createHash, hash } from 'node:crypto';
import type { InputField, LabelSpace } from '../../schemas/manifest.ts';
import { LogitcaskError } from '../errors.ts';
import { canonicalJson } from '../formats/canonical.ts';
import { bytesOf } from '../formats/layout.ts';

export const sampleIdBytes = 16;

/** The label space of a teacher of texts. */
export function labelSpaceOf(teacher: {
  readonly vocabulary: number;
  readonly tokenizer: string | null;
}): LabelSpace {
  return { kind: 'vocabulary', size: teacher.vocabulary, tokenizer: teacher.tokenizer };
}

/** Bytes of SHA-256 over the label space: ids over different vocabularies never meet. */
export function labelSpaceDigest(labelSpace: LabelSpace): Buffer {
  return createHash('sha256').update(canonicalJson(labelSpace)).digest();
}

/** First 16 bytes of SHA-256 over length-prefixed fields, docs/format.md. */
export function textSampleId(
  labelSpace: Uint8Array,
  sample: { readonly tokens: Int32Array; readonly mask: Uint8Array },
): Buffer {
  return digestOf(['text', labelSpace, bytesOf(sample.tokens), sample.mask]);
}

/** What the sample ids of a vision snapshot are taken over, beside the samples themselves. */
export interface VisionSpace {
  /** Digest of the label space. */
  readonly labelSpace: Uint8Array;
  /** SHA-256 (hex) of the augmentation pipeline's description. */
  readonly pipeline: string | null;
  readonly fields: readonly InputField[];
}

/** What is stored of an image: the position inputs are little-endian values, one array a field. */
export interface VisionInputs {
  /** JSON: `sha256` of the image's bytes, and its `uri`, which is not part of the id. */
  readonly inputRef: string;
  /** Length n, 1 where a position is to be learned. */
  readonly mask: Uint8Array;
  /** In the order of the fields, n · items values each. */
  readonly values: readonly Uint8Array[];
}

/** The same over an image, its mask and its fields, by name. Throws `shard-damaged`. */
export function visionSampleId(
  { labelSpace, pipeline, fields }: VisionSpace,
  { inputRef, mask, values }: VisionInputs,
): Buffer {
  const image = Buffer.from(imageOf(inputRef).sha256, 'hex');
  const named = fields.flatMap(({ name }, i) => [name, values[i]]);
  return digestOf([
    'vision',
    labelSpace,
    image,
    Buffer.from(pipeline ?? '', 'hex'),
    mask,
    ...named,
  ]);
}

/** An image by its digest, and where it was. Throws `shard-damaged`. */
export function imageOf(inputRef: string): { sha256: string; uri: string } {
  try {
    const { sha256, uri } = JSON.parse(inputRef);
    if (/^[0-9a-f]{64}$/.test(sha256) && typeof uri === 'string') return { sha256, uri };
  } catch {
    // no JSON: refused below
  }
  const message = 'shard: an input_ref is not JSON of `sha256` and `uri`; restore a good copy';
  throw new LogitcaskError('shard-damaged', message, { got: inputRef });
}

function digestOf(fields: readonly (string | Uint8Array)[]): Buffer {
  const pieces = ['logitcask/sample/1', ...fields].flatMap((field) => {
    const bytes = typeof field === 'string' ? Buffer.from(field) : field;
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.byteLength);
    return [length, bytes];
  });
  // in one go: a call for each piece takes most of the time
  return hash('sha256', Buffer.concat(pieces), 'buffer').subarray(0, sampleIdBytes);
}
