/**
 * The pass over a snapshot: each shard is read once, by threads on all cores, and its result comes
 * back in order.
 */
import type { Manifest, ManifestFile } from '../../schemas/manifest.ts';
import { filePath, indexNameOf, shardsOf } from '../shard/names.ts';
import { type ReferencePosition, readReference } from '../shard/reference.ts';
import type { Store } from '../store/store.ts';
import type { PaceShare } from './pace.ts';
import type { ShardResult, ShardTask } from './pass-shard.ts';
import { isDamage } from './problem.ts';
import { type AuditThreads, openThreads, type ThreadOptions } from './threads.ts';

export interface PassOptions extends ThreadOptions {
  readonly manifest: Manifest;
  /** Whether samples are counted, rather than proved only. */
  readonly counts: boolean;
  /** Those that the caller opened, and closes; by default the pass has its own. */
  readonly threads?: AuditThreads;
  readonly pace?: PaceShare;
  /** What is known of a shard already: it is not read. */
  readonly known?: (shard: number, file: ManifestFile) => Promise<ShardResult | undefined>;
}

export interface PassedShard extends ShardResult {
  readonly file: ManifestFile;
  readonly isKnown: boolean;
}

export async function* passShards(store: Store, options: PassOptions): AsyncGenerator<PassedShard> {
  const { known } = options;
  const tasks = tasksOf(store, options);
  const reference = options.counts ? openReference(store, options.manifest) : noReference;
  const threads = options.threads ?? openThreads(store, options.manifest, options);
  // those that are under way, or wait for the one before them
  const ahead = Math.max(1, 2 * threads.count);
  const pass = async (task: ShardTask, shard: number): Promise<PassedShard> => {
    const [file] = task.manifest.files;
    const found = await known?.(shard, file);
    return { ...(found ?? (await threads.passShard(task))), file, isKnown: found !== undefined };
  };
  const begun: Promise<PassedShard>[] = [];
  try {
    for (const [shard, task] of tasks.entries()) {
      const rows = await reference(task.first + task.manifest.files[0].samples);
      const passing = pass({ ...task, reference: rows }, shard);
      passing.catch(() => {}); // it is awaited later
      begun.push(passing);
      if (begun.length >= ahead) yield (await begun.shift())!;
    }
    for (const passing of begun) yield await passing;
  } finally {
    if (options.threads === undefined) await threads.close();
  }
}

const noReference = async (): Promise<readonly ReferencePosition[]> => [];

/**
 * Gives the rows of the reference that are left, of ordinals below the one asked for. One that is
 * damaged or gone gives none from there on: it is named with the other files.
 */
function openReference(store: Store, { dataset, files }: Manifest) {
  const file = files.find(({ role }) => role === 'reference');
  if (file === undefined) return noReference;
  const parts = readReference(store, filePath(dataset, file.name));
  let rest: readonly ReferencePosition[] = [];
  let ended = false;
  return async (end: number): Promise<readonly ReferencePosition[]> => {
    const found: ReferencePosition[] = [];
    for (;;) {
      const own = rest.findIndex(({ ordinal }) => ordinal >= end);
      found.push(...rest.slice(0, own < 0 ? rest.length : own));
      rest = own < 0 ? [] : rest.slice(own);
      if (own >= 0 || ended) return found;
      const next = await parts.next().catch((error: unknown) => {
        if (isDamage(error)) return { done: true as const };
        throw error;
      });
      if (next.done) ended = true;
      else rest = next.value;
    }
  };
}

function tasksOf(store: Store, { manifest, counts, pace }: PassOptions): ShardTask[] {
  const indexes = new Map(manifest.files.map((file) => [file.name, file]));
  const referenceName = manifest.files.find(({ role }) => role === 'reference')?.name;
  let first = 0;
  return shardsOf(manifest).map((file) => {
    const index = indexes.get(indexNameOf(file.name));
    const own = { ...manifest, files: [file] };
    const shared = { url: store.url, counts, pace, reference: [], referenceName };
    const task = { ...shared, manifest: own, index, first };
    first += file.samples;
    return task;
  });
}
