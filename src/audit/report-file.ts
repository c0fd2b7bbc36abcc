/** The last report of an audit, kept beside the snapshot. */
import { type AuditReport, auditReport } from '../../schemas/audit.ts';
import { LogitcaskError } from '../errors.ts';
import { auditPath } from '../shard/names.ts';
import type { Store } from '../store/store.ts';

const bytesMax = 64 * 1024 * 1024;

/** Durable and whole when it resolves. */
export async function writeAudit(store: Store, report: AuditReport): Promise<void> {
  const bytes = Buffer.from(JSON.stringify(auditReport.parse(report)));
  await store.write(auditPath(report.dataset, report.snapshot), bytes);
}

/** The last audit of a snapshot (its digest), or undefined. Throws `manifest-invalid`. */
export async function readAudit(
  store: Store,
  dataset: string,
  snapshot: string,
): Promise<AuditReport | undefined> {
  const path = auditPath(dataset, snapshot);
  if ((await store.size(path)) === undefined) return undefined;
  const bytes = await store.readAll(path, bytesMax);
  let document: unknown;
  try {
    document = JSON.parse(bytes.toString());
  } catch (cause) {
    throw invalid(path, (cause as Error).message);
  }
  const parsed = auditReport.safeParse(document);
  if (parsed.success) return parsed.data;
  const [{ path: place, message }] = parsed.error.issues;
  throw invalid(path, `\`${place.join('.')}\`: ${message}`);
}

function invalid(path: string, got: string): LogitcaskError {
  const message = `audit: ${path} is no report of this version (${got}); audit the snapshot again`;
  return new LogitcaskError('manifest-invalid', message, { expected: 'version 1', got });
}
