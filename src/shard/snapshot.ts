/**
 * Finding snapshots: data sets, tags, digests, manifests that are proved before they are believed.
 */
import {
  checkManifest,
  formatVersion,
  knownFeatures,
  type Manifest,
  manifest,
} from '../../schemas/manifest.ts';
import { LogitcaskError } from '../errors.ts';
import { canonicalJson, sha256Hex } from '../formats/canonical.ts';
import type { Store } from '../store/store.ts';
import { reservedNames, snapshotPath, statusPath, tagPath } from './names.ts';

const manifestBytesMax = 64 * 1024 * 1024;
const digestPattern = /^[0-9a-f]{64}$/;

export interface ResolvedSnapshot {
  readonly id: string;
  /** The manifest, byte for byte. */
  readonly bytes: Buffer;
  readonly manifest: Manifest;
}

export async function listDatasets(store: Store): Promise<string[]> {
  const names = (await store.list('')).filter((name) => !reservedNames.includes(name as never));
  const found: string[] = [];
  for (const name of names) {
    const parts = await store.list(name);
    if (parts.includes('snapshots') || parts.includes('builds')) found.push(name);
  }
  return found;
}

export async function listSnapshots(store: Store, dataset: string): Promise<string[]> {
  const names = await store.list(`${dataset}/snapshots`);
  return names.map((name) => name.replace(/\.json$/, ''));
}

export async function readTags(store: Store, dataset: string): Promise<Record<string, string>> {
  const tags: Record<string, string> = {};
  for (const tag of await store.list(`${dataset}/tags`)) {
    tags[tag] = (await store.readAll(tagPath(dataset, tag), 1024)).toString().trim();
  }
  return tags;
}

export interface BuildStatus {
  readonly build: string;
  readonly state: 'running' | 'complete' | 'failed';
  /** Id of the snapshot, once complete. */
  readonly snapshot: string | null;
  readonly samples: number;
  readonly positions: number;
  /** An estimate where the source does not say; null where nothing is known, or was then. */
  readonly positionsTotal: number | null;
  readonly shards: number;
  /** Milliseconds since the epoch. */
  readonly updatedMs: number;
  /** Code of the error that ended it. */
  readonly error: string | null;
}

/** Status of every build of a data set; a running one rewrites its own as it goes. */
export async function readBuildStatus(store: Store, dataset: string): Promise<BuildStatus[]> {
  const names = await store.list(`${dataset}/builds`);
  return Promise.all(
    names.map(async (name) => {
      const bytes = await store.readAll(`${dataset}/builds/${name}`, 65_536);
      return { positionsTotal: null, ...JSON.parse(bytes.toString()) } as BuildStatus;
    }),
  );
}

export async function writeBuildStatus(
  store: Store,
  dataset: string,
  status: BuildStatus,
): Promise<void> {
  const bytes = Buffer.from(JSON.stringify(status));
  await store.write(statusPath(dataset, status.build), bytes);
}

/** The id of a snapshot by digest or tag; its manifest, which may be large, is not read. */
export async function findSnapshot(store: Store, dataset: string, ref: string): Promise<string> {
  const id = digestPattern.test(ref) ? ref : await tagged(store, dataset, ref);
  if ((await store.size(snapshotPath(dataset, id))) !== undefined) return id;
  throw await missing(store, dataset, ref);
}

/** Finds a snapshot by digest or tag. */
export async function resolveSnapshot(
  store: Store,
  dataset: string,
  ref: string,
): Promise<ResolvedSnapshot> {
  const id = await findSnapshot(store, dataset, ref);
  const bytes = await store.readAll(snapshotPath(dataset, id), manifestBytesMax);
  return { id, bytes, manifest: parseManifest(bytes, id) };
}

/** The snapshot that a tag points at, or undefined where there is no such tag. */
export async function headSnapshot(
  store: Store,
  { dataset, tag }: { dataset: string; tag: string },
): Promise<ResolvedSnapshot | undefined> {
  if ((await store.size(tagPath(dataset, tag))) === undefined) return undefined;
  return resolveSnapshot(store, dataset, tag);
}

async function tagged(store: Store, dataset: string, tag: string): Promise<string> {
  const path = tagPath(dataset, tag);
  if ((await store.size(path)) === undefined) throw await missing(store, dataset, tag);
  const id = (await store.readAll(path, 1024)).toString().trim();
  if (digestPattern.test(id)) return id;
  const message = `snapshot: tag \`${tag}\` holds no digest; point it at a snapshot again`;
  throw new LogitcaskError('manifest-invalid', message, { expected: '64 hex digits', got: id });
}

async function missing(store: Store, dataset: string, ref: string): Promise<LogitcaskError> {
  const datasets = await listDatasets(store);
  if (!datasets.includes(dataset)) {
    const message = `snapshot: there is no data set \`${dataset}\` in the store`;
    return new LogitcaskError('dataset-not-found', message, { expected: datasets, got: dataset });
  }
  const message = `snapshot: data set \`${dataset}\` has no tag or snapshot \`${ref}\``;
  const tags = Object.keys(await readTags(store, dataset));
  return new LogitcaskError('snapshot-not-found', message, { expected: tags, got: ref });
}

/** Proves a manifest's digest, version, features and form. */
export function parseManifest(bytes: Buffer, id: string): Manifest {
  const actual = sha256Hex(bytes);
  if (actual !== id) throw invalid('its bytes have another digest', id, actual);
  let document: unknown;
  try {
    document = JSON.parse(bytes.toString());
  } catch (cause) {
    throw invalid('it is not JSON', 'JSON', (cause as Error).message);
  }
  refuseUnknown(Object(document));
  const parsed = checkManifest(document);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0];
  throw invalid(`\`${path.join('.')}\` is wrong (${message})`, 'the documented form', message);
}

function invalid(what: string, expected: unknown, got: unknown): LogitcaskError {
  const message = `manifest: ${what}; restore it from a good copy`;
  return new LogitcaskError('manifest-invalid', message, { expected, got });
}

/** Later versions and unknown features are refused before the form is looked at. */
function refuseUnknown({ version, features }: Partial<Manifest>): void {
  if (typeof version === 'number' && version > formatVersion) {
    const message = `manifest: format version ${version} is later than this program; update it`;
    const details = { expected: `at most ${formatVersion}`, got: version };
    throw new LogitcaskError('manifest-unsupported', message, details);
  }
  const unknown = Array.isArray(features) && features.find((f) => !knownFeatures.includes(f));
  if (typeof unknown === 'string') {
    const message = `manifest: feature \`${unknown}\` is not known to this program; update it`;
    const details = { expected: knownFeatures, got: unknown };
    throw new LogitcaskError('manifest-unsupported', message, details);
  }
}

/** A manifest's bytes and the id that they have. */
export function encodeManifest(document: Manifest): ResolvedSnapshot {
  const checked = manifest.parse(document);
  const bytes = Buffer.from(canonicalJson(checked));
  return { id: sha256Hex(bytes), bytes, manifest: checked };
}

/** Writes a manifest, whose presence makes the snapshot exist, and then points the tag at it. */
export async function writeSnapshot(
  store: Store,
  document: Manifest,
  tag: string,
): Promise<ResolvedSnapshot> {
  const resolved = encodeManifest(document);
  const { id, bytes } = resolved;
  await store.write(snapshotPath(document.dataset, id), bytes);
  await store.write(tagPath(document.dataset, tag), Buffer.from(`${id}\n`));
  return resolved;
}
