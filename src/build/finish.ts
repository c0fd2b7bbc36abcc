/** The end of a build: sample index, reference, fidelity, and last the manifest. */
import type {
  AlignmentCheck,
  LabelSpace,
  Manifest,
  ManifestFile,
  TargetSet,
} from '../../schemas/manifest.ts';
import { digestFile } from '../audit/digests.ts';
import { type ReferenceTally, tallyReference } from '../audit/fidelity.ts';
import type { Source } from '../capture/source.ts';
import { LogitcaskError } from '../errors.ts';
import {
  filePath,
  indexName,
  partPath,
  referenceName,
  sampleIndexName,
  shardName,
  tokenizerName,
} from '../shard/names.ts';
import { createReader } from '../shard/open-snapshot.ts';
import {
  type ReferencePicker,
  type ReferencePosition,
  readReference,
  writeReference,
} from '../shard/reference.ts';
import { writeSampleIndex } from '../shard/sample-index.ts';
import { type ResolvedSnapshot, writeSnapshot } from '../shard/snapshot.ts';
import { keptFiles, parentReference } from './append.ts';
import { countEntries } from './count-entries.ts';
import type { BuildPlace } from './resume.ts';
import type { Shards, SnapshotInputs } from './shards.ts';
import { storeImages } from './store-images.ts';

export interface FinishOptions extends BuildPlace {
  readonly tag: string;
  readonly sets: readonly TargetSet[];
  readonly source: Source;
  readonly labelSpace: LabelSpace;
  readonly inputs: SnapshotInputs;
  /** None of images. */
  readonly alignment: AlignmentCheck | null;
  readonly picker: ReferencePicker;
  readonly shards: Pick<Shards, 'complete' | 'candidates'>;
  readonly parent?: ResolvedSnapshot;
  /** Whether the images are copied, too. */
  readonly storesImages?: boolean;
  readonly signal?: AbortSignal;
}

export async function completeManifest(options: FinishOptions): Promise<ResolvedSnapshot> {
  const { store, dataset, build, sets, source } = options;
  const shards = options.shards.complete;
  const total = (field: 'samples' | 'positions' | 'learned' | 'entries' | 'shardBytes') =>
    shards.reduce((sum, header) => sum + header[field], 0);
  if (shards.length === 0) {
    const message = 'capture: the source gave no samples; give it longer or more input';
    throw new LogitcaskError('source-unreadable', message, { expected: '≥ 1 sample', got: 0 });
  }
  const { parent } = options;
  const kept = keptFiles(parent);
  const indexes = [
    ...kept.flatMap(({ role, name }) => (role === 'index' ? [name] : [])),
    ...shards.map((_, i) => indexName(build, i)),
  ];
  const before = parent?.manifest.totals ?? { samples: 0, positions: 0, learned: 0 };
  const samples = before.samples + total('samples');
  const contentId = await writeSampleIndex(store, { dataset, build, indexes, samples });
  const { tokenizerJson } = source;
  if (tokenizerJson !== undefined) {
    await store.write(filePath(dataset, tokenizerName(build)), tokenizerJson);
  }
  const stored = [...kept, ...(await listShards(options))];
  const draft: Manifest = {
    format: 'logitcask',
    version: 1,
    ...options.inputs,
    dataset,
    alignment: options.inputs.kind === 'text' ? 'predicts-next' : null,
    label_space: options.labelSpace,
    target_sets: sets.map((set, i) => {
      const entries = (parent?.manifest.target_sets[i].entries ?? 0) + total('entries');
      return { ...set, entries, alignment: options.alignment };
    }),
    responses: source.responses,
    inputs: { ...source.inputs },
    files: stored,
    totals: {
      samples,
      positions: before.positions + total('positions'),
      learned: before.learned + total('learned'),
      bytes: 0,
    },
    content_id: contentId,
    parent: parent?.id ?? null,
    tombstones: [],
  };
  const { target_sets, reference } = await measured(options, draft);
  const files = [...stored, ...reference, ...(await listTokenizer(options))];
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const whole = { ...draft, target_sets, files, totals: { ...draft.totals, bytes } };
  const document = options.storesImages ? await storeImages(store, whole, options) : whole;
  const resolved = await writeSnapshot(store, document, options.tag);
  for (let i = 0; i < shards.length; i++) await store.remove(partPath(dataset, build, i));
  return resolved;
}

/** The reference, and the target sets with their fidelity and, of several, the entries of each. */
async function measured(options: FinishOptions, draft: Manifest) {
  const { store } = options;
  const { target_sets: sets } = draft;
  if (sets.length === 0) return { target_sets: [], reference: [] };
  const reader = createReader(store, { id: '', manifest: draft });
  try {
    const entries = sets.length > 1 ? await countEntries(reader, sets) : undefined;
    // a manifest says nothing of the entries behind the first K
    const tallies = sets.map((set) => tallyReference(reader, set, { headOnly: true }));
    const reference = await mergeReference(options, tallies);
    const target_sets = sets.map((set, i) => {
      const fidelity = tallies[i].value().measured;
      return { ...set, entries: entries?.[i] ?? set.entries, fidelity };
    });
    return { target_sets, reference: [reference] };
  } finally {
    await reader.close();
  }
}

/**
 * Joins the parts, keeping the candidates that the whole data set leaves in the sketch, and shows
 * them to the tallies on the way.
 */
async function mergeReference(
  options: FinishOptions,
  tallies: readonly ReferenceTally[],
): Promise<ManifestFile> {
  const { store, dataset, build, picker, sets } = options;
  const belongs = sets.map(() => picker.sample()); // each set has a list of every position
  async function* rows() {
    for await (const part of candidates(options)) {
      const own = part.filter(({ priority, head = 0 }) => belongs[head](priority));
      for (const tally of tallies) await tally.add(own);
      yield own;
    }
  }
  const name = referenceName(build);
  const path = filePath(dataset, name);
  let positions = 0;
  if (await linkPart(options, path)) for await (const part of rows()) positions += part.length;
  else positions = await writeReference(store, path, rows(), { sets: sets.length });
  return listed(options, { role: 'reference', name, samples: 0, positions });
}

/**
 * Where the only part is the reference as it is, gives it that name, too: tens of megabytes are not
 * written again. True where it has.
 */
async function linkPart(
  { store, dataset, build, picker, sets, shards, parent }: FinishOptions,
  path: string,
): Promise<boolean> {
  const { complete, candidates } = shards;
  if (parent !== undefined || complete.length > 1 || candidates === undefined) return false;
  const belongs = sets.map(() => picker.sample());
  const isWhole = candidates.every(({ priority, head = 0 }) => belongs[head](priority));
  return isWhole && (await store.link(partPath(dataset, build, 0), path));
}

/** In order of arrival. */
async function* candidates(options: FinishOptions): AsyncGenerator<readonly ReferencePosition[]> {
  const { store, dataset, build, shards } = options;
  yield* parentReference(store, options.parent);
  const last = shards.candidates;
  const parts = shards.complete.length - (last === undefined ? 0 : 1);
  for (let i = 0; i < parts; i++) yield* readReference(store, partPath(dataset, build, i));
  if (last !== undefined) yield last;
}

async function listed(
  { store, dataset }: FinishOptions,
  file: Omit<ManifestFile, 'bytes' | 'sha256'>,
  digest?: Uint8Array,
): Promise<ManifestFile> {
  const path = filePath(dataset, file.name);
  const bytes = await store.size(path);
  const hash = digest ?? (await digestFile(store, path));
  if (bytes === undefined || hash === undefined) {
    throw new LogitcaskError('store-not-found', `build: ${file.name} has gone; run it again`);
  }
  return { ...file, bytes, sha256: Buffer.from(hash).toString('hex') };
}

/** The shards of this build with their indexes, and the sample index. */
async function listShards(options: FinishOptions): Promise<ManifestFile[]> {
  const { build, format, shards } = options;
  const files: ManifestFile[] = [];
  for (const [i, { samples, positions, shardDigest }] of shards.complete.entries()) {
    const own = { samples, positions };
    const name = shardName(build, i, format);
    files.push(await listed(options, { role: 'shard', name, ...own }, shardDigest));
    files.push(await listed(options, { role: 'index', name: indexName(build, i), ...own }));
  }
  const name = sampleIndexName(build);
  return [...files, await listed(options, { role: 'index', name, samples: 0, positions: 0 })];
}

async function listTokenizer(options: FinishOptions): Promise<ManifestFile[]> {
  if (options.source.tokenizerJson === undefined) return [];
  const name = tokenizerName(options.build);
  return [await listed(options, { role: 'tokenizer', name, samples: 0, positions: 0 })];
}
