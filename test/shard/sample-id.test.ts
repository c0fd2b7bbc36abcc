import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import type { LabelSpace } from '../../schemas/manifest.ts';
import { labelSpaceDigest, textSampleId } from '../../src/shard/sample-id.ts';

const labelSpace: LabelSpace = { kind: 'vocabulary', size: 300, tokenizer: null };
const sample = { tokens: Int32Array.of(1, 299, 7), mask: Uint8Array.of(0, 1, 0) };

const idOf = (space: LabelSpace, { tokens, mask } = sample) =>
  textSampleId(labelSpaceDigest(space), { tokens, mask }).toString('hex');

it('is SHA-256 over length-prefixed fields, byte by byte', () => {
  const space = createHash('sha256')
    .update('{"kind":"vocabulary","size":300,"tokenizer":null}')
    .digest();
  const field = (bytes: Buffer) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  const fields = [
    Buffer.from('logitcask/sample/1'),
    Buffer.from('text'),
    space,
    Buffer.from([1, 0, 0, 0, 43, 1, 0, 0, 7, 0, 0, 0]),
    Buffer.from([0, 1, 0]),
  ];
  const expected = createHash('sha256')
    .update(Buffer.concat(fields.map(field)))
    .digest('hex');
  expect(idOf(labelSpace)).toBe(expected.slice(0, 32));
});

it('changes with every token, the mask, the length and the label space', () => {
  const others = [
    idOf(labelSpace),
    idOf(labelSpace, { ...sample, tokens: Int32Array.of(1, 299, 8) }),
    idOf(labelSpace, { ...sample, mask: Uint8Array.of(1, 1, 0) }),
    idOf(labelSpace, { tokens: Int32Array.of(1, 299), mask: Uint8Array.of(0, 1) }),
    idOf(labelSpace, { tokens: new Int32Array(0), mask: new Uint8Array(0) }),
    idOf({ ...labelSpace, size: 301 }),
    idOf({ ...labelSpace, tokenizer: 'a'.repeat(64) }),
  ];
  expect(new Set(others).size).toBe(others.length);
});
