/** What a snapshot costs: bytes by column and by role, read from the directories of its shards. */
import { type AuditSize, auditRowsMax } from '../../schemas/audit.ts';
import type { Manifest, ManifestFile } from '../../schemas/manifest.ts';
import { labelSpaceIn } from '../encode/table.ts';
import { shardColumns, targetColumns } from '../shard/columns.ts';
import { containerOf } from '../shard/containers.ts';
import { decodeIndex } from '../shard/index-file.ts';
import { filePath, indexNameOf, shardsOf } from '../shard/names.ts';
import { createReader, openShard } from '../shard/open-snapshot.ts';
import { resolveSnapshot } from '../shard/snapshot.ts';
import { createLru } from '../store/lru.ts';
import type { Store } from '../store/store.ts';
import { otherFormats, peerK } from './other-formats.ts';
import { stopped } from './pass-shard.ts';
import { isDamage } from './problem.ts';
import { measureSavings } from './savings.ts';

const directoryBytesMax = 1024 * 1024;

export interface SizeReport {
  readonly positions: number;
  /** Bytes of a column as stored: of its buffers, or of its compressed pages. */
  readonly columns: readonly { name: string; bytes: number; bytesPerPosition: number }[];
  readonly files: readonly {
    role: ManifestFile['role'];
    bytes: number;
    bytesPerPosition: number;
  }[];
  /** Bytes a position of the columns of distributions: ids, probabilities, rest. */
  readonly targets: number;
  /** Bytes a position of shards and indexes. */
  readonly whole: number;
  /**
   * Bytes a position of whole float32 distributions, and of int32 + float32 top-K lists: of the K
   * of scaled targets, otherwise of 64.
   */
  readonly full: number;
  readonly topK: number;
}

export interface SizeOptions {
  readonly dataset: string;
  /** Digest or tag. */
  readonly snapshot: string;
}

/** Throws `shard-damaged` or `index-damaged`. */
export async function measureSize(store: Store, options: SizeOptions): Promise<SizeReport> {
  const { manifest } = await resolveSnapshot(store, options.dataset, options.snapshot);
  const { positions } = manifest.totals;
  const each = (bytes: number) => bytes / Math.max(1, positions);
  const byColumn = new Map<string, number>();
  for (const file of shardsOf(manifest)) {
    add(byColumn, await columnBytes(store, { dataset: options.dataset, manifest, file }));
  }
  const byRole = rolesOf(manifest).map(({ role, bytes }) => {
    return { role, bytes, bytesPerPosition: each(bytes) };
  });
  const columns = [...byColumn].map(([name, bytes]) => {
    return { name, bytes, bytesPerPosition: each(bytes) };
  });
  const stored = byRole.filter(({ role }) => role === 'shard' || role === 'index');
  return {
    positions,
    columns,
    files: byRole,
    targets: each(sum([...targetBytes(manifest, byColumn).values()])),
    whole: each(sum(stored.map(({ bytes }) => bytes))),
    full: 4 * listWidth(manifest),
    topK: 8 * listEntries(manifest),
  };
}

/**
 * The size section of an audit, without prices. Shards that cannot be read are left out of what is
 * a column's: integrity names them. Throws `interrupted` once `signal` says so.
 */
export async function auditSize(
  store: Store,
  options: SizeOptions & { readonly signal?: AbortSignal },
): Promise<AuditSize> {
  const resolved = await resolveSnapshot(store, options.dataset, options.snapshot);
  const { manifest } = resolved;
  const { positions, bytes } = manifest.totals;
  const byColumn = new Map<string, number>();
  let seen = 0;
  for (const file of shardsOf(manifest)) {
    if (options.signal?.aborted) throw stopped();
    try {
      add(byColumn, await columnBytes(store, { dataset: options.dataset, manifest, file }));
      seen += file.positions;
    } catch (thrown) {
      if (!isDamage(thrown)) throw thrown;
    }
  }
  const setOf = ownersOf(manifest);
  const targets = targetBytes(manifest, byColumn);
  const each = new Map([...targets].map(([set, own]) => [set, own / Math.max(1, seen)]));
  const reader = createReader(store, resolved);
  try {
    const packed = shardsOf(manifest).some(({ name }) => containerOf(name).compressed);
    const files = [...manifest.files].sort((a, b) => b.bytes - a.bytes).slice(0, auditRowsMax);
    return {
      positions,
      bytes,
      bytes_per_position: bytes / Math.max(1, positions),
      images: manifest.images ?? null,
      target_bytes_per_position: sum([...each.values()]),
      columns: [...byColumn].map(([name, own]) => {
        return { name, target_set: setOf.get(name) ?? null, bytes: own };
      }),
      roles: rolesOf(manifest),
      files: {
        total: manifest.files.length,
        rows: files.map((file) => {
          return { name: file.name, role: file.role, bytes: file.bytes, positions: file.positions };
        }),
      },
      others: otherFormats(listWidth(manifest), listEntries(manifest)).map((other) => {
        return { name: other.name, bytes_per_position: other.bytes };
      }),
      savings: await measureSavings(reader, {
        storedBytes: packed ? each : undefined,
        signal: options.signal,
      }),
      cost: null,
    };
  } finally {
    await reader.close();
  }
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/** K of scaled targets, or that of the lists that sampled ones are compared with. */
function listEntries({ target_sets }: Manifest): number {
  return target_sets.find(({ kind }) => kind === 'scaled')?.sparsifier.entries_max ?? peerK;
}

/** V of the set whose lists are compared. */
function listWidth({ target_sets: sets, label_space }: Manifest): number {
  const set = sets.find(({ kind }) => kind === 'scaled') ?? sets.at(0);
  return set === undefined ? label_space.size : labelSpaceIn(set, label_space).size;
}

function rolesOf({ files }: Manifest): AuditSize['roles'] {
  const roles = [...new Set(files.map(({ role }) => role))];
  return roles.map((role) => {
    const own = files.filter((file) => file.role === role);
    return { role, files: own.length, bytes: sum(own.map(({ bytes }) => bytes)) };
  });
}

/** Target sets by column. */
function ownersOf({ target_sets, label_space }: Manifest): Map<string, string> {
  return new Map(
    target_sets.flatMap((set) =>
      Object.keys(targetColumns(set, label_space)).map((name) => [name, set.name]),
    ),
  );
}

/** Bytes of distributions alone, by target set: their log-probs of labels and log Z are not. */
function targetBytes(manifest: Manifest, byColumn: ReadonlyMap<string, number>) {
  const extra = /_(label_logprob|log_z)$/;
  const bytes = new Map<string, number>();
  for (const [column, set] of ownersOf(manifest)) {
    if (!extra.test(column)) bytes.set(set, (bytes.get(set) ?? 0) + (byColumn.get(column) ?? 0));
  }
  return bytes;
}

function add(sums: Map<string, number>, values: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(values)) {
    sums.set(name, (sums.get(name) ?? 0) + value);
  }
}

async function columnBytes(
  store: Store,
  { dataset, manifest, file }: { dataset: string; manifest: Manifest; file: ManifestFile },
): Promise<Record<string, number>> {
  const indexPath = filePath(dataset, indexNameOf(file.name));
  const { batches } = decodeIndex(await store.readAll(indexPath), indexPath);
  const shard = openShard(store, {
    dataset,
    file,
    columns: shardColumns(manifest),
    cache: createLru(directoryBytesMax),
  });
  const sums = new Map<string, number>();
  for (const batch of batches) {
    add(sums, await containerOf(file.name).columnBytes(shard, batch));
  }
  return Object.fromEntries(sums);
}
