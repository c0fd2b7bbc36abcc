/** What a snapshot costs: bytes by column and by role, read from the directories of its shards. */
import type { ManifestFile } from '../../schemas/manifest.ts';
import { shardColumns, targetColumns } from '../shard/columns.ts';
import { containerOf } from '../shard/containers.ts';
import { decodeIndex } from '../shard/index-file.ts';
import { filePath, indexNameOf } from '../shard/names.ts';
import { openShard } from '../shard/open-snapshot.ts';
import { resolveSnapshot } from '../shard/snapshot.ts';
import { createLru } from '../store/lru.ts';
import type { Store } from '../store/store.ts';

const directoryBytesMax = 1024 * 1024;
/** K of the top lists that sampled targets are compared with. */
const listEntries = 64;

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

export async function measureSize(
  store: Store,
  { dataset, snapshot }: { dataset: string; snapshot: string },
): Promise<SizeReport> {
  const { manifest } = await resolveSnapshot(store, dataset, snapshot);
  const { positions } = manifest.totals;
  const scaled = manifest.target_sets.find(({ kind }) => kind === 'scaled');
  const each = (bytes: number) => bytes / Math.max(1, positions);
  const byColumn = new Map<string, number>();
  for (const file of manifest.files.filter(({ role }) => role === 'shard')) {
    await addShard(store, { dataset, file, columns: shardColumns(manifest), byColumn });
  }
  const byRole = new Map<ManifestFile['role'], number>();
  for (const { role, bytes } of manifest.files) byRole.set(role, (byRole.get(role) ?? 0) + bytes);
  const columns = [...byColumn].map(([name, bytes]) => ({
    name,
    bytes,
    bytesPerPosition: each(bytes),
  }));
  const extra = /_(label_logprob|log_z)$/;
  const own = new Set(
    manifest.target_sets
      .flatMap((set) => Object.keys(targetColumns(set, manifest.label_space)))
      .filter((name) => !extra.test(name)),
  );
  const sum = (rows: readonly { bytes: number }[]) => rows.reduce((n, { bytes }) => n + bytes, 0);
  return {
    positions,
    columns,
    files: [...byRole].map(([role, bytes]) => ({ role, bytes, bytesPerPosition: each(bytes) })),
    targets: each(sum(columns.filter(({ name }) => own.has(name)))),
    whole: each((byRole.get('shard') ?? 0) + (byRole.get('index') ?? 0)),
    full: 4 * manifest.label_space.size,
    topK: 8 * (scaled?.sparsifier.entries_max ?? listEntries),
  };
}

async function addShard(
  store: Store,
  options: {
    dataset: string;
    file: ManifestFile;
    columns: ReturnType<typeof shardColumns>;
    byColumn: Map<string, number>;
  },
): Promise<void> {
  const { dataset, file, byColumn } = options;
  const indexPath = filePath(dataset, indexNameOf(file.name));
  const { batches } = decodeIndex(await store.readAll(indexPath), indexPath);
  const shard = openShard(store, { ...options, cache: createLru(directoryBytesMax) });
  for (const batch of batches) {
    const sizes = await containerOf(file.name).columnBytes(shard, batch);
    for (const [name, bytes] of Object.entries(sizes)) {
      byColumn.set(name, (byColumn.get(name) ?? 0) + bytes);
    }
  }
}
