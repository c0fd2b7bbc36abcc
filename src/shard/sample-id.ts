/** Content addresses: equal inputs have equal ids in every build, shard and machine. */
import { createHash, hash } from 'node:crypto';
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

const fixedFields = [Buffer.from('logitcask/sample/1'), Buffer.from('text')];

/** First 16 bytes of SHA-256 over length-prefixed fields, docs/format.md. */
export function textSampleId(
  labelSpace: Uint8Array,
  sample: { readonly tokens: Int32Array; readonly mask: Uint8Array },
): Buffer {
  const fields = [...fixedFields, labelSpace, bytesOf(sample.tokens), sample.mask];
  const pieces = fields.flatMap((field) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(field.byteLength);
    return [length, field];
  });
  // in one go: a call for each piece takes most of the time
  return hash('sha256', Buffer.concat(pieces), 'buffer').subarray(0, sampleIdBytes);
}
