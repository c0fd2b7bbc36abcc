/**
 * A tally counts something over all samples of a snapshot. The pass reads each shard once, in
 * threads, decodes each sample once and shows it to every tally; a tally's value is plain data, so
 * that values of shards cross threads, lie in the log of a stopped audit, and are merged.
 */
import type { Manifest, TargetSet } from '../../schemas/manifest.ts';
import type { DecodedTargets } from '../distribution/targets.ts';
import type { ReferencePosition } from '../shard/reference.ts';

/**
 * One sample as the pass shows it, all arrays of length n unless said otherwise. They hold as long
 * as it is shown: the next sample is decoded into the same memory.
 */
export interface AuditSample {
  readonly tokens: Int32Array;
  /**
   * The label of each position: of texts the token behind it, and none at the last one; of images
   * their hard labels, negative where there is none, and no tokens.
   */
  readonly labels: Int32Array;
  /** 1: to be learned. */
  readonly mask: Uint8Array;
  /** JSON. */
  readonly meta: string;
  /** 16 bytes. */
  readonly sampleId: Uint8Array;
  /** Its positions with the teacher's exact list; mostly none. */
  readonly reference: readonly ReferencePosition[];
  /** In the manifest's order. */
  readonly sets: readonly AuditTargets[];
}

export interface AuditTargets {
  readonly set: TargetSet;
  readonly targets: DecodedTargets;
  /** Log-prob of the actual next token, NaN where unknown; undefined where the set stores none. */
  readonly labelLogprob: Float32Array | undefined;
  /** n × extra temperatures, position-major; empty where there are none. */
  readonly logZ: Float32Array;
  /** Bytes of the sample's cells of this set. */
  readonly bytes: number;
}

/** Begun for each shard, in any thread. */
export interface Tally<Value> {
  add(sample: AuditSample): void;
  /** Plain data. */
  value(): Value;
}

/** A line of the table of tallies. */
export interface TallyKind<Value> {
  /** `manifest.files` is the shard alone, and empty for the value of no shard. */
  begin(manifest: Manifest): Tally<Value>;
  /** Associative; the values of all shards, in order, give that of the snapshot. */
  merge(a: Value, b: Value): Value;
}

/** Sums of two parts, one by one. */
export const addSums = (a: readonly number[], b: readonly number[]) => a.map((n, i) => n + b[i]);
