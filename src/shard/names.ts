/** Where things lie in a store: the one place that knows the folder structure. */

import type { ContainerName } from '../../schemas/common.ts';
import type { Manifest, ManifestFile } from '../../schemas/manifest.ts';

const number = (shard: number) => String(shard).padStart(5, '0');

export const shardName = (build: string, shard: number, format: ContainerName) =>
  `${build}-${number(shard)}.${format}`;
export const indexName = (build: string, shard: number) => `${build}-${number(shard)}.index`;
/** The index of a shard by the shard's name. */
export const indexNameOf = (shard: string) => shard.replace(/\.[a-z]+$/, '.index');
/** The shards of a snapshot, in order. */
export const shardsOf = ({ files }: Pick<Manifest, 'files'>): ManifestFile[] =>
  files.filter(({ role }) => role === 'shard');
export const sampleIndexName = (build: string) => `${build}-samples.index`;
export const referenceName = (build: string) => `${build}-reference.arrow`;
export const tokenizerName = (build: string) => `${build}-tokenizer.json`;

/** Answers of one teacher to the prompts of a labelled data set. */
export const answersPath = (dataset: string, teacher: string) =>
  `${dataset}/answers/${teacher.slice(0, 16)}.log`;

export const imagesIndexName = (build: string) => `${build}-images.index`;

export const filesFolder = (dataset: string) => `${dataset}/files`;
export const partsFolder = (dataset: string) => `${dataset}/parts`;
export const locksFolder = (dataset: string) => `${dataset}/locks`;
/** Images by the first two digits of their digests. */
export const imagesFolder = (dataset: string) => `${dataset}/images`;
export const imagePath = (dataset: string, sha256: string) =>
  `${imagesFolder(dataset)}/${sha256.slice(0, 2)}/${sha256}`;
/** A file of a manifest. */
export const filePath = (dataset: string, name: string) => `${filesFolder(dataset)}/${name}`;
export const partPath = (dataset: string, build: string, shard: number) =>
  `${partsFolder(dataset)}/${build}-${number(shard)}.part`;
export const statusPath = (dataset: string, build: string) => `${dataset}/builds/${build}.json`;
export const lockPath = (dataset: string, build: string) => `${locksFolder(dataset)}/${build}`;
/** What a teacher answered to builds that are not complete, by the digest of its identity. */
export const scoresPath = (dataset: string, teacher: string) => `${dataset}/scores/${teacher}.log`;
export const snapshotPath = (dataset: string, id: string) => `${dataset}/snapshots/${id}.json`;
/** The last audit of a snapshot; and what one that has not ended has found so far. */
export const auditPath = (dataset: string, id: string) => `${dataset}/audits/${id}.json`;
export const auditLogPath = (dataset: string, id: string) => `${dataset}/audits/${id}.log`;
export const tagPath = (dataset: string, tag: string) => `${dataset}/tags/${tag}`;

/** Folders at the top of a store that are not data sets. */
export const reservedNames = ['plans'] as const;
