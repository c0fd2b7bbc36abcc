/** What the server needs of audits: one pass over a snapshot, and the report that it left. */
import type { AuditReport } from '../../schemas/audit.ts';
import type { Store } from '../store/store.ts';

export interface AuditOptions {
  readonly dataset: string;
  readonly snapshot: string;
  readonly workers?: number;
  readonly bytesPerSecondMax?: number;
  /** Stops it; what was seen is kept, and the next run goes on behind it. */
  readonly signal?: AbortSignal;
  /** What is known so far, marked `partial`. */
  readonly onProgress?: (report: AuditReport) => void;
}

export interface Auditor {
  run(store: Store, options: AuditOptions): Promise<AuditReport>;
  /** The report of the last audit that came to its end; undefined where there is none. */
  read(store: Store, dataset: string, snapshot: string): Promise<AuditReport | undefined>;
}
