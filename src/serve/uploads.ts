/** What the server needs of uploads from teacher workers; src/push/ has them. */
import type { CommitReply, UploadReply, UploadRequest, UploadShard } from '../../schemas/upload.ts';

export interface UploadName {
  readonly dataset: string;
  readonly upload: string;
}

/** What the head must be for a commit: this snapshot, any or none (`*`), or none yet. */
export type Precondition = { readonly head: string } | 'any' | 'none';

/** All but `open` throw `upload-not-found`. */
export interface Uploads {
  /** Opens one, or finds that of the same name. Throws `conflict` where it is of other things. */
  open(dataset: string, request: UploadRequest): Promise<{ created: boolean; reply: UploadReply }>;
  /** What is there: for resuming. */
  state(name: UploadName): Promise<UploadReply>;
  /**
   * Durable when it resolves; the same bytes again are no error. Throws `digest-mismatch`,
   * `conflict`, `request-invalid`, `token-out-of-range`, `row-invalid`, `source-misaligned`.
   */
  put(
    name: UploadName,
    shard: { number: number; digest: Buffer; body: Buffer },
  ): Promise<UploadShard>;
  /** One snapshot, all or nothing. Throws `snapshot-moved`, `conflict`, `source-misaligned`. */
  commit(
    name: UploadName,
    options: { precondition: Precondition; shards?: number },
  ): Promise<CommitReply>;
  abort(name: UploadName): Promise<void>;
}
