/**
 * The audit of a snapshot: its size, one pass over its shards, and what its other files, its folder
 * and its reference tell. Stopped, it goes on behind what it has read when it is run again.
 */
import type { AuditReport, AuditSize } from '../../schemas/audit.ts';
import { indexNameOf, lockPath } from '../shard/names.ts';
import { createReader } from '../shard/open-snapshot.ts';
import { type ResolvedSnapshot, resolveSnapshot } from '../shard/snapshot.ts';
import { acquireLock } from '../store/lock.ts';
import type { Store } from '../store/store.ts';
import { alignmentReport } from './alignment.ts';
import { type AuditLog, openAuditLog } from './audit-log.ts';
import { coverageReport } from './coverage.ts';
import { countDuplicates, type Duplicates } from './duplicates.ts';
import { checkFile, checkTotals, otherFiles } from './files.ts';
import { findingsOf } from './findings.ts';
import { checkImages, type ImagesReport } from './images.ts';
import { integrityReport, orphansOf, quarantine } from './integrity.ts';
import type { Orphan } from './orphans.ts';
import { type PaceShare, paceOf, sharedPace } from './pace.ts';
import { passShards } from './pass.ts';
import { stopped } from './pass-shard.ts';
import type { FoundProblem } from './problem.ts';
import { openQuarantine } from './quarantine.ts';
import { writeAudit } from './report-file.ts';
import { fidelityOf } from './sections.ts';
import { auditSize } from './size.ts';
import { mergeValues, noValues, type TallyValues } from './tallies.ts';

export interface AuditOptions {
  readonly dataset: string;
  /** Digest or tag. */
  readonly snapshot: string;
  /** Threads, 6 at most; by default all cores, and the calling one alone for a small snapshot. */
  readonly workers?: number;
  /** What all threads together read in a second. */
  readonly bytesPerSecondMax?: number;
  /** Stops the audit with `interrupted`. */
  readonly signal?: AbortSignal;
  /** The report so far, `partial`, at most twice a second. */
  readonly onProgress?: (report: AuditReport) => void;
}

/** An audit under way: what it works with, and what it has found so far. */
interface Audit {
  readonly store: Store;
  readonly resolved: ResolvedSnapshot;
  readonly options: AuditOptions;
  readonly log: AuditLog;
  readonly pace: PaceShare | undefined;
  readonly startedMs: number;
  readonly size: AuditSize;
  readonly problems: FoundProblem[];
  /** Names of the shards that were counted. */
  readonly counted: string[];
  values: TallyValues;
  files: number;
  bytes: number;
  orphans: readonly Orphan[];
  quarantined: readonly string[];
  images: ImagesReport | null;
  duplicates: Duplicates;
}

const progressMs = 500;

/**
 * Audits a snapshot and keeps the report in the store. Damage is reported and quarantined, never
 * thrown. Errors: those of finding the snapshot, `build-running` where it is being audited,
 * `interrupted`, `store-*`.
 */
export async function auditSnapshot(store: Store, options: AuditOptions): Promise<AuditReport> {
  const resolved = await resolveSnapshot(store, options.dataset, options.snapshot);
  const { id, manifest } = resolved;
  const { dataset } = manifest;
  const lock = await acquireLock(store, lockPath(dataset, `audit-${id}`));
  try {
    const log = await openAuditLog(store, { dataset, id });
    try {
      const audit = await beginAudit(store, resolved, { options, log });
      await passAll(audit);
      await checkOthers(audit);
      audit.orphans = await orphansOf(store, dataset, audit.problems);
      audit.quarantined = await quarantine(store, manifest, audit.problems);
      audit.duplicates = await duplicatesOf(audit);
      if (manifest.kind === 'vision') audit.images = await imagesOf(audit);
      const report = reportOf(audit, { partial: false });
      await writeAudit(store, report);
      await log.remove();
      return report;
    } finally {
      await log.close();
    }
  } finally {
    await lock.release();
  }
}

async function beginAudit(
  store: Store,
  resolved: ResolvedSnapshot,
  { options, log }: Pick<Audit, 'options' | 'log'>,
): Promise<Audit> {
  const { bytesPerSecondMax } = options;
  return {
    store,
    resolved,
    options,
    log,
    pace: bytesPerSecondMax === undefined ? undefined : sharedPace(bytesPerSecondMax),
    startedMs: Date.now(),
    size: await auditSize(store, { dataset: resolved.manifest.dataset, snapshot: resolved.id }),
    problems: [],
    counted: [],
    values: noValues(resolved.manifest),
    files: 0,
    bytes: 0,
    orphans: [],
    quarantined: [],
    images: null,
    duplicates: { samples: 0, positions: 0 },
  };
}

/** Every shard and its index, once; what the log knows is not read again. */
async function passAll(audit: Audit): Promise<void> {
  const { store, resolved, options, log, pace } = audit;
  const { manifest } = resolved;
  const { workers, signal, onProgress } = options;
  const damaged = (await openQuarantine(store)).of(manifest.dataset);
  const sizes = new Map(manifest.files.map(({ name, bytes }) => [name, bytes]));
  let reportedMs = audit.startedMs;
  let shard = 0;
  let logged = Promise.resolve();
  const passed = passShards(store, {
    manifest,
    counts: true,
    workers,
    pace,
    signal,
    known: async (shard, file) =>
      damaged[file.name] === undefined ? log.known(shard, file) : undefined,
  });
  for await (const { file, isKnown, problems, values } of passed) {
    await logged; // of the shard before, while this one was read
    if (!isKnown) logged = log.add(shard, { problems, values });
    logged.catch(() => {}); // awaited with the next one
    shard++;
    if (signal?.aborted) throw stopped();
    audit.problems.push(...problems);
    if (values !== undefined) {
      audit.values = mergeValues(audit.values, values);
      audit.counted.push(file.name);
    }
    for (const name of [file.name, indexNameOf(file.name)]) count(audit, sizes.get(name));
    if (onProgress === undefined || Date.now() - reportedMs < progressMs) continue;
    reportedMs = Date.now();
    onProgress(reportOf(audit, { partial: true }));
  }
  await logged;
}

function count(audit: Audit, bytes: number | undefined): void {
  if (bytes === undefined) return; // an index that the manifest does not list
  audit.files++;
  audit.bytes += bytes;
}

async function checkOthers(audit: Audit): Promise<void> {
  const { store, resolved, options, pace, problems } = audit;
  const { dataset } = resolved.manifest;
  const wait = paceOf(pace);
  const paced = async (bytes: number) => {
    await wait(bytes, options.signal);
    if (options.signal?.aborted) throw stopped();
  };
  for (const file of otherFiles(resolved.manifest)) {
    await checkFile(store, { dataset, file, paced }, problems);
    count(audit, file.bytes);
  }
  await checkTotals(store, resolved, problems);
}

/** Samples that cannot be read are named already: nothing is told of their images then. */
async function imagesOf({ store, resolved, options, problems }: Audit) {
  if (problems.length > 0) return null;
  const reader = createReader(store, resolved);
  try {
    return await checkImages(reader, options.signal);
  } finally {
    await reader.close();
  }
}

function duplicatesOf({ store, resolved, counted }: Audit): Promise<Duplicates> {
  const { dataset, totals } = resolved.manifest;
  const indexes = counted.map(indexNameOf);
  return countDuplicates(store, { dataset, indexes, samples: totals.samples });
}

function reportOf(audit: Audit, { partial }: { partial: boolean }): AuditReport {
  const { resolved, values, size, bytes } = audit;
  const { manifest, id } = resolved;
  const report: AuditReport = {
    format: 'logitcask-audit',
    version: 1,
    dataset: manifest.dataset,
    snapshot: id,
    partial,
    progress: { bytes, bytes_total: manifest.files.reduce((sum, file) => sum + file.bytes, 0) },
    started_ms: audit.startedMs,
    updated_ms: Date.now(),
    size,
    integrity: integrityReport(audit, manifest),
    alignment: alignmentReport(values.alignment),
    fidelity: fidelityOf(audit.resolved, values),
    coverage: coverageReport(values.coverage, manifest, audit.duplicates),
    findings: [],
  };
  return { ...report, findings: findingsOf(report, manifest) };
}
