/** What of a snapshot is damaged, missing or left over: damage is quarantined, never repaired. */
import { type AuditIntegrity, auditRowsMax } from '../../schemas/audit.ts';
import type { Manifest } from '../../schemas/manifest.ts';
import type { Store } from '../store/store.ts';
import type { ImagesReport } from './images.ts';
import { findOrphans, type Orphan } from './orphans.ts';
import { attempt, noFile } from './pass-shard.ts';
import type { FoundProblem } from './problem.ts';
import { openQuarantine } from './quarantine.ts';

/** What has been looked at so far. */
export interface Checked {
  readonly files: number;
  readonly bytes: number;
  readonly problems: readonly FoundProblem[];
  readonly orphans: readonly Orphan[];
  readonly quarantined: readonly string[];
  readonly images: ImagesReport | null;
}

/**
 * Puts damaged files into the store's quarantine, and takes out those of `refused` that are whole
 * again: what a server has found since the audit began stays. The names of this snapshot's files
 * that are in it now.
 */
export async function quarantine(
  store: Store,
  { dataset, files }: Manifest,
  { problems, refused }: Pick<Checked, 'problems'> & { readonly refused: ReadonlySet<string> },
): Promise<string[]> {
  const known = await openQuarantine(store);
  const damaged = new Map(
    problems.filter(({ isDamage }) => isDamage).map((one) => [one.file, one]),
  );
  const failed = new Set(problems.map(({ file }) => file));
  for (const { name } of files) {
    const damage = damaged.get(name);
    if (damage !== undefined) {
      const { expected, got } = damage;
      await known.add(dataset, name, { expected, got });
    } else if (refused.has(name) && !failed.has(name)) {
      await known.remove(dataset, name);
    }
  }
  const now = known.of(dataset);
  return files.map(({ name }) => name).filter((name) => now[name] !== undefined);
}

/** Orphans of the data set; a manifest that cannot be read is a problem, and nothing is told. */
export async function orphansOf(
  store: Store,
  dataset: string,
  problems: FoundProblem[],
): Promise<Orphan[]> {
  const found = await attempt(`${dataset}/snapshots`, problems, () => findOrphans(store, dataset));
  return found ?? [];
}

export function integrityReport(
  { files, bytes, problems, orphans, quarantined, images }: Checked,
  manifest: Manifest,
): AuditIntegrity {
  const order = new Map(manifest.files.map(({ name }, i) => [name, i]));
  const place = ({ file }: FoundProblem) => order.get(file) ?? manifest.files.length;
  return {
    files: manifest.files.length,
    files_checked: files,
    bytes_checked: bytes,
    problems: {
      total: problems.length,
      rows: [...problems]
        .sort((a, b) => place(a) - place(b))
        .slice(0, auditRowsMax)
        .map(({ code, file, message, got }) => {
          return { code: got === noFile ? 'store-not-found' : code, file, message };
        }),
    },
    orphans: { total: orphans.length, rows: orphans.slice(0, auditRowsMax) },
    quarantined: { total: quarantined.length, rows: quarantined.slice(0, auditRowsMax) },
    images,
  };
}
