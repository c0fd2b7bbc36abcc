/** Snapshots written sample by sample through the shard writer, without a teacher. */
import type { ContainerName } from '../../schemas/common.ts';
import type { Manifest, ManifestFile, TargetSet } from '../../schemas/manifest.ts';
import { digestFile } from '../../src/audit/digests.ts';
import type { Targets } from '../../src/distribution/targets.ts';
import { openCodec } from '../../src/encode/table.ts';
import type { Columns } from '../../src/formats/arrow.ts';
import { toFloat16 } from '../../src/formats/float16.ts';
import { bytesOf, listCell, packBits } from '../../src/formats/layout.ts';
import { shardColumns } from '../../src/shard/columns.ts';
import {
  filePath,
  indexName,
  referenceName,
  sampleIndexName,
  shardName,
} from '../../src/shard/names.ts';
import { writeReference } from '../../src/shard/reference.ts';
import { labelSpaceDigest, textSampleId } from '../../src/shard/sample-id.ts';
import { writeSampleIndex } from '../../src/shard/sample-index.ts';
import { writeSnapshot } from '../../src/shard/snapshot.ts';
import { openShardWriter, type ShardRow } from '../../src/shard/writer.ts';
import type { Store } from '../../src/store/store.ts';
import { randomTargets } from './targets.ts';

export const width = 500;
export const labelSpace = { kind: 'vocabulary' as const, size: width, tokenizer: null };
export const build = '0123456789abcdef';

export const targetSet: TargetSet = {
  name: 'teacher',
  teacher: { name: 'test', revision: '1', source: 'test', reports: 'whole' },
  kind: 'scaled',
  normalisation: 'softmax',
  sparsifier: { name: 'top-k', parameters: { k: 16 }, entries_max: 16 },
  codec: { name: 'planes', parameters: { step: 0.003, compression: 'zstd' } },
  temperature: 1,
  log_z: [],
  temperature_exact: true,
  label_logprob: true,
  entries: 0,
  fidelity: null,
  alignment: null,
};

export interface Sample {
  readonly tokens: Int32Array;
  readonly targets: Targets;
  readonly meta?: string;
}

export function sampleOf(seed: number, length = 1 + (seed % 40)): Sample {
  const tokens = Int32Array.from({ length }, (_, t) => (seed * 31 + t * t) % width);
  const shape = { positions: length, entriesMax: 16, width, seed, mass: 0.9 };
  return { tokens, targets: randomTargets(shape) };
}

export function rowOf({ tokens, targets, meta: given }: Sample, set = targetSet): ShardRow {
  const n = tokens.length;
  const mask = new Uint8Array(n).fill(1, 0, n - 1);
  const sampleId = textSampleId(labelSpaceDigest(labelSpace), { tokens, mask });
  const meta = Buffer.from(given ?? `{"length":${n}}`);
  const codec = openCodec(set, labelSpace);
  const cells = codec.encode(targets);
  const stored = Object.keys(codec.columns).map((suffix, i) => {
    return [`${set.name}_${suffix}`, listCell(bytesOf(cells[i]), cells[i].length)];
  });
  const columns: Columns = {
    sample_id: { rows: 1, buffers: [sampleId] },
    tokens: listCell(bytesOf(tokens), n),
    mask: listCell(packBits(mask), n),
    meta: listCell(meta, meta.length),
    ...Object.fromEntries(stored),
    [`${set.name}_label_logprob`]: listCell(bytesOf(toFloat16(targets.labelLogprob)), n),
  };
  return {
    columns,
    sampleId,
    positions: n,
    learned: Math.max(0, n - 1),
    entries: targets.ids.length,
  };
}

export interface WriteOptions {
  readonly batchBytesMax?: number;
  readonly set?: TargetSet;
  readonly passRecordsMax?: number;
  readonly format?: ContainerName;
  readonly dataset?: string;
}

/** Writes each inner list as a shard, and the manifest. */
export async function writeSamples(
  store: Store,
  shards: readonly (readonly Sample[])[],
  options: WriteOptions = {},
): Promise<{ id: string; manifest: Manifest }> {
  const { batchBytesMax = 2000, set = targetSet, passRecordsMax, format = 'arrow' } = options;
  const { dataset = 'default' } = options;
  const types = shardColumns({ kind: 'text', target_sets: [set], label_space: labelSpace });
  let input = 0;
  for (const [i, samples] of shards.entries()) {
    const writer = await openShardWriter({
      store,
      shard: filePath(dataset, shardName(build, i, format)),
      index: filePath(dataset, indexName(build, i)),
      types,
      metadata: {},
      batchBytesMax,
    });
    for (const sample of samples) await writer.add(rowOf(sample, set));
    input += samples.length;
    await writer.finish(input);
  }
  const all = shards.flat();
  const indexes = shards.map((_, i) => indexName(build, i));
  const target = { dataset, build, indexes, samples: all.length, passRecordsMax };
  const contentId = await writeSampleIndex(store, target);
  await writeReference(store, filePath(dataset, referenceName(build)), (async function* () {})());
  const described = async (
    role: ManifestFile['role'],
    name: string,
    samples: readonly Sample[],
  ): Promise<ManifestFile> => ({
    role,
    name,
    bytes: (await store.size(filePath(dataset, name))) ?? -1,
    sha256: (await digestFile(store, filePath(dataset, name)))?.toString('hex') ?? '',
    samples: samples.length,
    positions: positionsOf(samples),
  });
  const files: ManifestFile[] = [];
  for (const [i, samples] of shards.entries()) {
    files.push(await described('shard', shardName(build, i, format), samples));
    files.push(await described('index', indexName(build, i), samples));
  }
  files.push(await described('index', sampleIndexName(build), []));
  files.push(await described('reference', referenceName(build), []));
  const document: Manifest = {
    format: 'logitcask',
    version: 1,
    features: format === 'parquet' ? ['parquet'] : [],
    dataset,
    kind: 'text',
    alignment: 'predicts-next',
    label_space: labelSpace,
    augmentation_pipeline: null,
    target_sets: [set],
    inputs: { origin: 'test', licence: 'none', digest: '0'.repeat(64) },
    files,
    totals: {
      samples: all.length,
      positions: positionsOf(all),
      learned: positionsOf(all) - all.length,
      bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    },
    content_id: contentId,
    parent: null,
    tombstones: [],
  };
  return writeSnapshot(store, document, 'latest');
}

const positionsOf = (samples: readonly Sample[]) =>
  samples.reduce((sum, { tokens }) => sum + tokens.length, 0);
