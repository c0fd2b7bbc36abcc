/** What the server needs of audits: one pass over a snapshot, and the report that it left. */
import { auditSnapshot } from '../audit/audit.ts';
import { readAudit } from '../audit/report-file.ts';

export interface Auditor {
  readonly run: typeof auditSnapshot;
  /** The report of the last audit that came to its end; undefined where there is none. */
  readonly read: typeof readAudit;
}

export const realAuditor: Auditor = { run: auditSnapshot, read: readAudit };
