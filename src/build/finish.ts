/** The end of a build: sample index, reference, fidelity, and last the manifest. */
import type {
  AlignmentCheck,
  LabelSpace,
  Manifest,
  ManifestFile,
  TargetSet,
} from '../../schemas/manifest.ts';
import { digestFile } from '../audit/digests.ts';
import { measureFidelity } from '../audit/fidelity.ts';
import type { Source } from '../capture/source.ts';
import { LogitcaskError } from '../errors.ts';
import type { IndexHeader } from '../shard/index-file.ts';
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
import { type ReferencePicker, readReference, writeReference } from '../shard/reference.ts';
import { writeSampleIndex } from '../shard/sample-index.ts';
import { type ResolvedSnapshot, writeSnapshot } from '../shard/snapshot.ts';
import { keptFiles, parentReference } from './append.ts';
import { countEntries } from './count-entries.ts';
import type { BuildPlace } from './resume.ts';
import type { SnapshotInputs } from './shards.ts';
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
  readonly shards: { readonly complete: readonly IndexHeader[] };
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
  const referencePositions = sets.length === 0 ? undefined : await mergeReference(options);
  const files = [...kept, ...(await listFiles(options, referencePositions))];
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
    files,
    totals: {
      samples,
      positions: before.positions + total('positions'),
      learned: before.learned + total('learned'),
      bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    },
    content_id: contentId,
    parent: parent?.id ?? null,
    tombstones: [],
  };
  const target_sets = await measured(options, draft);
  const whole = { ...draft, target_sets };
  const document = options.storesImages ? await storeImages(store, whole, options) : whole;
  const resolved = await writeSnapshot(store, document, options.tag);
  for (let i = 0; i < shards.length; i++) await store.remove(partPath(dataset, build, i));
  return resolved;
}

/** The target sets with their fidelity and, of several, the entries of each. */
async function measured(options: FinishOptions, draft: Manifest): Promise<TargetSet[]> {
  const { store, dataset, build } = options;
  const reader = createReader(store, { id: '', manifest: draft });
  try {
    const several = draft.target_sets.length > 1;
    const entries = several ? await countEntries(reader, draft.target_sets) : undefined;
    const sets: TargetSet[] = [];
    for (const [i, set] of draft.target_sets.entries()) {
      const reference = readReference(store, filePath(dataset, referenceName(build)));
      const fidelity = await measureFidelity(reader, set, reference);
      sets.push({ ...set, entries: entries?.[i] ?? set.entries, fidelity });
    }
    return sets;
  } finally {
    await reader.close();
  }
}

/** Joins the parts, keeping the candidates that the whole data set leaves in the sketch. */
async function mergeReference(options: FinishOptions): Promise<number> {
  const { store, dataset, build, picker, sets } = options;
  const shards = options.shards.complete;
  const belongs = sets.map(() => picker.sample()); // each set has a list of every position
  async function* parts() {
    for await (const rows of parentReference(store, options.parent)) {
      yield rows.filter(({ priority, head = 0 }) => belongs[head](priority));
    }
    for (let i = 0; i < shards.length; i++) {
      for await (const rows of readReference(store, partPath(dataset, build, i))) {
        yield rows.filter(({ priority, head = 0 }) => belongs[head](priority));
      }
    }
  }
  const path = filePath(dataset, referenceName(build));
  return writeReference(store, path, parts(), { sets: sets.length });
}

async function listFiles(
  { store, dataset, build, format, shards, source }: FinishOptions,
  referencePositions: number | undefined,
): Promise<ManifestFile[]> {
  const files: ManifestFile[] = [];
  const add = async (file: Omit<ManifestFile, 'bytes' | 'sha256'>, digest?: Uint8Array) => {
    const path = filePath(dataset, file.name);
    const bytes = await store.size(path);
    const hash = digest ?? (await digestFile(store, path));
    if (bytes === undefined || hash === undefined) {
      throw new LogitcaskError('store-not-found', `build: ${file.name} has gone; run it again`);
    }
    files.push({ ...file, bytes, sha256: Buffer.from(hash).toString('hex') });
  };
  for (const [i, { samples, positions, shardDigest }] of shards.complete.entries()) {
    await add(
      { role: 'shard', name: shardName(build, i, format), samples, positions },
      shardDigest,
    );
    await add({ role: 'index', name: indexName(build, i), samples, positions });
  }
  const none = { samples: 0, positions: 0 };
  await add({ role: 'index', name: sampleIndexName(build), ...none });
  if (referencePositions !== undefined) {
    const name = referenceName(build);
    await add({ role: 'reference', name, samples: 0, positions: referencePositions });
  }
  if (source.tokenizerJson !== undefined) {
    await add({ role: 'tokenizer', name: tokenizerName(build), ...none });
  }
  return files;
}
