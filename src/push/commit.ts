/** An upload into one snapshot that adds to the head of its data set. */
import { type BuildSettings, buildConfig } from '../../schemas/build-config.ts';
import type { CommitReply, UploadRequest } from '../../schemas/upload.ts';
import { buildFrom } from '../build.ts';
import type { Source } from '../capture/source.ts';
import { LogitcaskError } from '../errors.ts';
import { canonicalJson, digestOf } from '../formats/canonical.ts';
import type { Precondition, UploadName } from '../serve/uploads.ts';
import { headSnapshot, type ResolvedSnapshot, resolveSnapshot } from '../shard/snapshot.ts';
import { acquireLock } from '../store/lock.ts';
import type { Store } from '../store/store.ts';
import { freshSamples } from './duplicates.ts';
import { asPushed, pushedChunks, pushedManifest, pushedOf } from './kinds.ts';
import { readBody, type StoredShard } from './shard-file.ts';

export interface Committing {
  readonly store: Store;
  readonly name: UploadName;
  readonly request: UploadRequest;
  /** By number. */
  readonly shards: readonly StoredShard[];
  readonly precondition: Precondition;
  /** Where it is noted what a commit adds to, before it begins. */
  readonly intentPath: string;
}

/** Throws `conflict` where a data set holds another teacher's targets. */
export function refuseOther(head: ResolvedSnapshot | undefined, request: UploadRequest): void {
  if (head === undefined) return;
  const expected = asPushed(head.manifest);
  const got = pushedManifest(request, pushedOf(request));
  if (canonicalJson(expected) === canonicalJson(got)) return;
  const message =
    `push: data set \`${head.manifest.dataset}\` holds targets of another teacher or made ` +
    'otherwise; choose another data set';
  throw new LogitcaskError('conflict', message, { expected, got });
}

/**
 * Killed at any moment, the same call again ends with the same snapshot. Errors: `snapshot-moved`,
 * `build-running` (another commit to the data set), those of `buildFrom`.
 */
export async function commitUpload(committing: Committing): Promise<CommitReply> {
  const { store, name, request } = committing;
  const lock = await acquireLock(store, `${name.dataset}/locks/commit`);
  try {
    const head = await headSnapshot(store, { dataset: name.dataset, tag: request.tag });
    const digest = digestOf({
      ...name,
      shards: committing.shards.map(({ shard, sha256 }) => [shard, sha256]),
    });
    const done = await committedBefore(committing, head, digest);
    if (done !== undefined) return done;
    checkHead(committing.precondition, head);
    refuseOther(head, request);
    return await addTo(committing, head, digest);
  } finally {
    await lock.release();
  }
}

/** The snapshot of a commit that ended without an answer, among those since it began. */
async function committedBefore(
  { store, name, shards, intentPath }: Committing,
  head: ResolvedSnapshot | undefined,
  digest: string,
): Promise<CommitReply | undefined> {
  if ((await store.size(intentPath)) === undefined) return undefined;
  const { parent } = JSON.parse((await store.readAll(intentPath)).toString());
  for (let found = head; found !== undefined && found.id !== parent; ) {
    const before: ResolvedSnapshot | undefined =
      found.manifest.parent === null
        ? undefined
        : await resolveSnapshot(store, name.dataset, found.manifest.parent);
    if (found.manifest.inputs.digest === digest) {
      const samples = found.manifest.totals.samples - (before?.manifest.totals.samples ?? 0);
      const duplicates = samplesIn(shards) - samples;
      return { snapshot: found.id, parent: found.manifest.parent, samples, duplicates };
    }
    found = before;
  }
  return undefined;
}

function checkHead(precondition: Precondition, head: ResolvedSnapshot | undefined): void {
  if (precondition === 'any') return;
  const expected = precondition === 'none' ? undefined : precondition.head;
  if (expected === head?.id) return;
  const message =
    'push: the data set has another head by now; look at it, and commit with its digest or `*`';
  const details = { expected: expected ?? null, got: head?.id ?? null };
  throw new LogitcaskError('snapshot-moved', message, details);
}

async function addTo(
  { store, name, request, shards, intentPath }: Committing,
  head: ResolvedSnapshot | undefined,
  digest: string,
): Promise<CommitReply> {
  const fresh = await freshSamples(store, shards, head);
  const samples = fresh.reduce((sum, flag) => sum + flag, 0);
  const parent = head?.id ?? null;
  const counts = { parent, samples, duplicates: fresh.length - samples };
  if (samples === 0) {
    if (head !== undefined) return { snapshot: head.id, ...counts };
    const message = 'push: the upload holds no samples; put shards first';
    throw new LogitcaskError('request-invalid', message, { expected: '≥ 1 sample', got: 0 });
  }
  await store.write(intentPath, Buffer.from(canonicalJson({ parent })));
  const source = sourceOf({ store, request, shards, fresh, digest });
  const settings = settingsOf(store, name, request);
  const { snapshot } = await buildFrom(settings, async () => source, { parent: head });
  return { snapshot, ...counts };
}

const samplesIn = (shards: readonly StoredShard[]) =>
  shards.reduce((sum, { samples }) => sum + samples, 0);

function settingsOf(store: Store, { dataset }: UploadName, request: UploadRequest): BuildSettings {
  const { tag, sparsifier } = request;
  const target_set = request.kind === 'vision' ? request.heads[0].name : request.target_set;
  // draws are no lists that fidelity could be measured by
  const reference = sparsifier.type === 'threshold' ? { positions: 0 } : undefined;
  const given = { store: store.url, dataset, tag, target_set, sparsifier, reference };
  const { source: _, ...settings } = buildConfig.parse(given);
  return settings;
}

interface SourceOptions {
  readonly store: Store;
  readonly request: UploadRequest;
  readonly shards: readonly StoredShard[];
  /** Flags of all samples. */
  readonly fresh: Uint8Array;
  readonly digest: string;
}

function sourceOf({ store, request, shards, fresh, digest }: SourceOptions): Source {
  const { teacher, licence } = request;
  const pushed = pushedOf(request);
  return {
    identity: { ...teacher, source: 'push', ...pushed.identity },
    inputs: { origin: `${pushed.what} pushed by workers of ${teacher.name}`, licence, digest },
    vision: pushed.vision,
    async *chunks(from) {
      let row = 0;
      let ordinal = 0;
      for (const shard of shards) {
        const own = fresh.subarray(row, row + shard.samples);
        row += shard.samples;
        const count = own.reduce((sum, flag) => sum + flag, 0);
        if (count === 0 || ordinal + count <= from) {
          ordinal += count;
          continue;
        }
        let i = 0;
        for (const sample of pushed.samplesOf(await readBody(store, shard))) {
          if (own[i++] === 0) continue;
          if (ordinal >= from) yield* pushedChunks(sample, ordinal);
          ordinal++;
        }
      }
    },
    async close() {},
  };
}
