/** Content addresses: equal inputs have equal ids in every build, shard and machine. */
import { createHash } from 'node:crypto';
import type { LabelSpace } from '../../schemas/manifest.ts';
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
  const hash = createHash('sha256');
  const length = Buffer.alloc(4);
  for (const field of [
    Buffer.from('logitcask/sample/1'),
    Buffer.from('text'),
    labelSpace,
    bytesOf(sample.tokens),
    sample.mask,
  ]) {
    length.writeUInt32LE(field.byteLength);
    hash.update(length).update(field);
  }
  return hash.digest().subarray(0, sampleIdBytes);
}
