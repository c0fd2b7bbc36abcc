/** Sections of an audit that are measured apart from the pass. */
import type { AuditFidelity, AuditReport, AuditSize, Finding } from '../../schemas/audit.ts';
import { auditRowsMax } from '../../schemas/audit.ts';
import type { Manifest } from '../../schemas/manifest.ts';
import { LogitcaskError } from '../errors.ts';
import type { ResolvedSnapshot } from '../shard/snapshot.ts';
import type { Store } from '../store/store.ts';
import { measureSize } from './size.ts';
import type { TallyValues } from './tallies.ts';

/** Columns are left out where a damaged shard hides theirs. */
export async function sizeOf(store: Store, { id, manifest }: ResolvedSnapshot): Promise<AuditSize> {
  const { dataset, totals, files } = manifest;
  const measured = await measureSize(store, { dataset, snapshot: id }).catch((error: unknown) => {
    if (error instanceof LogitcaskError && error.exitCode === 3) return undefined;
    throw error;
  });
  const each = (bytes: number) => bytes / Math.max(1, totals.positions);
  const roles = new Map<string, AuditSize['roles'][number]>();
  for (const { role, bytes } of files) {
    const known = roles.get(role) ?? { role, files: 0, bytes: 0 };
    roles.set(role, { role, files: known.files + 1, bytes: known.bytes + bytes });
  }
  return {
    positions: totals.positions,
    bytes: totals.bytes,
    bytes_per_position: each(totals.bytes),
    target_bytes_per_position: measured?.targets ?? 0,
    columns: (measured?.columns ?? []).map(({ name, bytes }) => {
      const set = manifest.target_sets.find((own) => name.startsWith(`${own.name}_`));
      return { name, target_set: set?.name ?? null, bytes };
    }),
    roles: [...roles.values()],
    files: {
      total: files.length,
      rows: [...files]
        .sort((a, b) => b.bytes - a.bytes)
        .slice(0, auditRowsMax)
        .map(({ name, role, bytes, positions }) => ({ name, role, bytes, positions })),
    },
    others: [],
    savings: { sampled_positions: 0, rows: [] },
    cost: null,
  };
}

/** Nothing is measured yet. */
export async function fidelityOf(
  _store: Store,
  _resolved: ResolvedSnapshot,
  _values: TallyValues,
): Promise<AuditFidelity[]> {
  return [];
}

/** Nothing is judged yet. */
export function findingsOf(_report: AuditReport, _manifest: Manifest): Finding[] {
  return [];
}
