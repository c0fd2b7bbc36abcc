/** Snapshots from one container into another, or several joined, without loss. */
import type { ContainerName } from '../schemas/common.ts';
import type { TargetSet } from '../schemas/manifest.ts';
import { type Conversion, convertFiles, proveFiles } from './convert/files.ts';
import { flatten, manifestName, openFolder } from './convert/folder.ts';
import { joinRows } from './convert/join.ts';
import { codecIn, rowsOf } from './convert/rows.ts';
import type { Compression } from './encode/compression.ts';
import { LogitcaskError } from './errors.ts';
import { digestOf } from './formats/canonical.ts';
import { lockPath, shardsOf, tagPath } from './shard/names.ts';
import { createReader } from './shard/open-snapshot.ts';
import {
  encodeManifest,
  type ResolvedSnapshot,
  readBuildStatus,
  resolveSnapshot,
  writeBuildStatus,
  writeSnapshot,
} from './shard/snapshot.ts';
import { acquireLock } from './store/lock.ts';
import type { Store } from './store/store.ts';
import { openStore } from './store/table.ts';

export interface ConvertOptions extends Pick<Conversion, 'signal' | 'onProgress'> {
  readonly format: ContainerName;
  /** Of frames, in Arrow. */
  readonly compression: Compression;
}

export interface ImportOptions extends ConvertOptions {
  /** An exported snapshot, or a data set of a store. */
  readonly folder: string;
  /** Digest or tag, where it is a data set. */
  readonly snapshot: string;
  readonly dataset: string;
  readonly tag: string;
}

export interface ExportOptions extends ConvertOptions {
  readonly dataset: string;
  readonly snapshot: string;
  /** Holds no snapshot yet. */
  readonly folder: string;
}

export interface JoinOptions extends ConvertOptions {
  /** The first one has the samples. */
  readonly datasets: readonly string[];
  /** Digest or tag in each of them. */
  readonly snapshot: string;
  readonly dataset: string;
  readonly tag: string;
}

/** The name that the files of a conversion carry: the same conversion meets its own files. */
function nameOf({ id, manifest }: ResolvedSnapshot, options: ConvertOptions): string {
  const codecs = manifest.target_sets.map((set) => codecIn(set, options));
  return digestOf({ convert: 1, snapshot: id, container: options.format, codecs }).slice(0, 16);
}

function joinedName(
  found: readonly ResolvedSnapshot[],
  sets: readonly TargetSet[],
  options: ConvertOptions,
): string {
  const codecs = sets.map((set) => codecIn(set, options));
  const snapshots = found.map(({ id }) => id);
  return digestOf({ join: 1, snapshots, container: options.format, codecs }).slice(0, 16);
}

/** Writes a snapshot of the store into a folder, `manifest.json` last. */
export async function exportSnapshot(
  store: Store,
  options: ExportOptions,
): Promise<ResolvedSnapshot> {
  const snapshot = await resolveSnapshot(store, options.dataset, options.snapshot);
  const folder = await openStore(options.folder);
  try {
    if ((await folder.size(manifestName)) !== undefined) {
      const message = `export: ${options.folder} holds a snapshot; give another folder`;
      throw new LogitcaskError('store-exists', message, { got: manifestName });
    }
    const to = {
      store: flatten(folder),
      dataset: options.dataset,
      build: nameOf(snapshot, options),
    };
    const written = await convert(store, snapshot, { to, ...options, choice: options });
    await folder.write(manifestName, written.bytes, { replace: false });
    return written;
  } finally {
    await folder.close();
  }
}

/** Takes a folder's snapshot into the store. A complete conversion of it is reused. */
export async function importSnapshot(
  store: Store,
  options: ImportOptions,
): Promise<ResolvedSnapshot & { reused: boolean }> {
  const source = await openFolder(options.folder, options.snapshot);
  try {
    const build = nameOf(source.snapshot, options);
    const to = { store, dataset: options.dataset, build };
    return await intoStore(to, options.tag, () =>
      convert(source.store, source.snapshot, { ...options, to, choice: options }),
    );
  } finally {
    await source.store.close();
  }
}

/**
 * One snapshot with the samples of the first and the target sets of all, matched by sample id. The
 * same again is reused. Errors: `conflict`, `shard-damaged`, those of the snapshots.
 */
export async function joinSnapshots(
  store: Store,
  options: JoinOptions,
): Promise<ResolvedSnapshot & { reused: boolean }> {
  const found: ResolvedSnapshot[] = [];
  for (const dataset of options.datasets) {
    found.push(await resolveSnapshot(store, dataset, options.snapshot));
  }
  const readers = found.map((snapshot) => createReader(store, snapshot));
  try {
    const rows = joinRows(readers);
    const build = joinedName(found, rows.manifest.target_sets, options);
    const to = { store, dataset: options.dataset, build };
    return await intoStore(to, options.tag, async () => {
      for (const { manifest } of found.slice(1)) await proveFiles(store, manifest);
      const conversion = { from: { store, rows }, to, choice: options, recount: true };
      return encodeManifest(await convertFiles({ ...options, ...conversion }));
    });
  } finally {
    for (const reader of readers) await reader.close();
  }
}

/** Writes a snapshot once, whoever else is at it; the tag points at it then. */
async function intoStore(
  { store, dataset, build }: Conversion['to'],
  tag: string,
  write: () => Promise<ResolvedSnapshot>,
): Promise<ResolvedSnapshot & { reused: boolean }> {
  const lock = await acquireLock(store, lockPath(dataset, build));
  try {
    const statuses = await readBuildStatus(store, dataset);
    const done = statuses.find((one) => one.build === build && one.state === 'complete');
    if (done?.snapshot != null) {
      const known = await resolveSnapshot(store, dataset, done.snapshot);
      await store.write(tagPath(dataset, tag), Buffer.from(`${known.id}\n`));
      return { ...known, reused: true };
    }
    const { manifest } = await write();
    const resolved = await writeSnapshot(store, manifest, tag);
    const { samples, positions } = manifest.totals;
    await writeBuildStatus(store, dataset, {
      build,
      state: 'complete',
      snapshot: resolved.id,
      samples,
      positions,
      positionsTotal: positions,
      shards: shardsOf(manifest).length,
      updatedMs: Date.now(),
      error: null,
    });
    return { ...resolved, reused: false };
  } finally {
    await lock.release();
  }
}

async function convert(
  store: Store,
  snapshot: ResolvedSnapshot,
  options: Omit<Conversion, 'from'>,
): Promise<ResolvedSnapshot> {
  const reader = createReader(store, snapshot);
  try {
    const from = { store, rows: rowsOf(reader) };
    return encodeManifest(await convertFiles({ ...options, from }));
  } finally {
    await reader.close();
  }
}
