/**
 * The audit of a snapshot: its size, one pass over its shards, and what its other files, its folder
 * and its reference tell. Stopped, it goes on behind what it has read when it is run again.
 */
import type { AuditReport, AuditSize } from '../../schemas/audit.ts';
import { filesFolder, indexNameOf, lockPath } from '../shard/names.ts';
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
import { attempt, type Paced, stopped } from './pass-shard.ts';
import type { FoundProblem } from './problem.ts';
import { openQuarantine } from './quarantine.ts';
import { writeAudit } from './report-file.ts';
import { fidelityOf } from './sections.ts';
import { mergeValues, noValues, type TallyValues } from './tallies.ts';
import { type AuditThreads, openThreads } from './threads.ts';

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
  /** Waits for its place in time, and ends the audit where it is stopped. */
  readonly paced: Paced;
  readonly startedMs: number;
  /** Undefined until it is measured, beside the pass where there are threads. */
  size: AuditSize | undefined;
  readonly problems: FoundProblem[];
  /** Names of the data set's files that were in quarantine when it began: all are read. */
  readonly refused: ReadonlySet<string>;
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
const noDuplicates: Duplicates = { samples: 0, positions: 0 };

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
      await passAndSize(audit);
      await checkOthers(audit);
      audit.orphans = await orphansOf(store, dataset, audit.problems);
      audit.duplicates = await duplicatesOf(audit);
      audit.quarantined = await quarantine(store, manifest, audit);
      if (manifest.kind === 'vision') audit.images = await imagesOf(audit);
      const report = reportOf(audit, { size: audit.size!, partial: false });
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
  const { bytesPerSecondMax, signal } = options;
  const pace = bytesPerSecondMax === undefined ? undefined : sharedPace(bytesPerSecondMax);
  const wait = paceOf(pace);
  const { dataset } = resolved.manifest;
  const refused = new Set(Object.keys((await openQuarantine(store)).of(dataset)));
  return {
    store,
    resolved,
    options,
    log,
    pace,
    paced: async (bytes) => {
      await wait(bytes, signal);
      if (signal?.aborted) throw stopped();
    },
    startedMs: Date.now(),
    size: undefined,
    problems: [],
    refused,
    counted: [],
    values: noValues(resolved.manifest),
    files: 0,
    bytes: 0,
    orphans: [],
    quarantined: [],
    images: null,
    duplicates: noDuplicates,
  };
}

async function passAndSize(audit: Audit): Promise<void> {
  const { store, resolved, options } = audit;
  const { manifest, id } = resolved;
  const threads = openThreads(store, manifest, options);
  try {
    const sizing = threads.size({ dataset: manifest.dataset, snapshot: id }).then((size) => {
      audit.size = size;
    });
    sizing.catch(() => {}); // awaited below, or the pass has failed first
    if (threads.count === 0) await sizing;
    await passAll(audit, threads);
    await sizing;
  } finally {
    await threads.close();
  }
}

/** Every shard and its index, once; what the log knows is not read again. */
async function passAll(audit: Audit, threads: AuditThreads): Promise<void> {
  const { store, resolved, options, log, pace, refused } = audit;
  const { manifest } = resolved;
  const { signal, onProgress } = options;
  const files = new Map(manifest.files.map((file) => [file.name, file]));
  let reportedMs = audit.startedMs;
  let shard = 0;
  let logged = Promise.resolve();
  const passed = passShards(store, {
    manifest,
    counts: true,
    threads,
    pace,
    known: async (shard, file) => {
      const index = files.get(indexNameOf(file.name));
      if (index === undefined) return undefined;
      const isRefused = refused.has(file.name) || refused.has(index.name);
      return isRefused ? undefined : log.known(shard, [file, index]);
    },
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
    for (const name of [file.name, indexNameOf(file.name)]) count(audit, files.get(name)?.bytes);
    if (onProgress === undefined || Date.now() - reportedMs < progressMs) continue;
    if (audit.size === undefined) continue;
    reportedMs = Date.now();
    onProgress(reportOf(audit, { size: audit.size, partial: true }));
  }
  await logged;
}

function count(audit: Audit, bytes: number | undefined): void {
  if (bytes === undefined) return; // an index that the manifest does not list
  audit.files++;
  audit.bytes += bytes;
}

async function checkOthers(audit: Audit): Promise<void> {
  const { store, resolved, paced, problems } = audit;
  const { dataset } = resolved.manifest;
  for (const file of otherFiles(resolved.manifest)) {
    await checkFile(store, { dataset, file, paced }, problems);
    count(audit, file.bytes);
  }
  await checkTotals(store, { resolved, paced }, problems);
}

/** Samples that cannot be read are named already: nothing is told of their images then. */
async function imagesOf({ store, resolved, paced, problems }: Audit) {
  if (problems.length > 0) return null;
  const reader = createReader(store, resolved);
  try {
    return await checkImages(store, reader, paced);
  } finally {
    await reader.close();
  }
}

/** None where an index has been damaged since it was proved: it is named. */
async function duplicatesOf(audit: Audit): Promise<Duplicates> {
  const { store, resolved, counted, problems, paced } = audit;
  const { dataset, totals } = resolved.manifest;
  const indexes = counted.map(indexNameOf);
  const found = await attempt(filesFolder(dataset), problems, () =>
    countDuplicates(store, { dataset, indexes, samples: totals.samples, paced }),
  );
  return found ?? noDuplicates;
}

function reportOf(
  audit: Audit,
  { size, partial }: { size: AuditSize; partial: boolean },
): AuditReport {
  const { resolved, values, bytes } = audit;
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
