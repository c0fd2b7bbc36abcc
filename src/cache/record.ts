/** A scored sequence with what a data set keeps beside it, as one record of a log. */

import { decodeScored, encodeScored, type Scored } from '../capture/scored.ts';
import { canonicalJson } from '../formats/canonical.ts';

export interface CacheRecord {
  readonly scored: Scored;
  /** First position that is learned: the prompt's last one. */
  readonly learnedFrom: number;
  readonly meta: Record<string, unknown>;
}

/** Bytes of `meta` (uint32, little-endian), first position learned (uint32), `meta`, the record. */
export function encodeCacheRecord({ scored, learnedFrom, meta }: CacheRecord): Buffer {
  const text = Buffer.from(canonicalJson(meta)); // as it will be sealed, or not at all
  const head = Buffer.alloc(8);
  head.writeUInt32LE(text.length, 0);
  head.writeUInt32LE(learnedFrom, 4);
  return Buffer.concat([head, text, encodeScored(scored)]);
}

/** The record was proved by the log that gave it. */
export function decodeCacheRecord(record: Buffer): CacheRecord {
  const end = 8 + record.readUInt32LE(0);
  return {
    learnedFrom: record.readUInt32LE(4),
    meta: JSON.parse(record.toString('utf8', 8, end)),
    scored: decodeScored(record.subarray(end)),
  };
}
