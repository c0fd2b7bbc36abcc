/**
 * Proves a snapshot: every digest, every index, every frame, every sample id. Reports, never
 * repairs.
 */
import type { Manifest } from '../../schemas/manifest.ts';
import { imagePath, indexNameOf } from '../shard/names.ts';
import { resolveSnapshot } from '../shard/snapshot.ts';
import { imagesIndex } from '../shard/stored-images.ts';
import type { Store } from '../store/store.ts';
import { checkFile, checkTotals, otherFiles } from './files.ts';
import { damagedImages } from './images.ts';
import { passShards } from './pass.ts';
import { type FoundProblem, type Problem, problemOf } from './problem.ts';

export type { Problem };

export interface VerifyReport {
  readonly dataset: string;
  readonly snapshot: string;
  readonly files: number;
  readonly bytes: number;
  readonly samples: number;
  readonly positions: number;
  readonly problems: readonly Problem[];
}

export interface VerifyOptions {
  readonly dataset: string;
  /** Digest or tag. */
  readonly snapshot: string;
  readonly onProgress?: (progress: { bytes: number; bytesTotal: number }) => void;
}

/** Problems beyond this many are not listed. */
const problemsMax = 100;

/** Throws only where there is no such snapshot or its manifest is not to be believed. */
export async function verifySnapshot(store: Store, options: VerifyOptions): Promise<VerifyReport> {
  const { dataset, onProgress } = options;
  const resolved = await resolveSnapshot(store, dataset, options.snapshot);
  const { manifest, id } = resolved;
  const { files, totals } = manifest;
  const sizes = new Map(files.map((file) => [file.name, file.bytes]));
  const problems: FoundProblem[] = [];
  const bytesTotal = totals.bytes + (manifest.images?.bytes ?? 0);
  let bytes = 0;
  const passed = (...names: readonly string[]) => {
    for (const name of names) bytes += sizes.get(name) ?? 0;
    onProgress?.({ bytes, bytesTotal });
  };
  for await (const shard of passShards(store, { manifest, counts: false })) {
    problems.push(...shard.problems);
    passed(shard.file.name, indexNameOf(shard.file.name));
  }
  for (const file of otherFiles(manifest)) {
    await checkFile(store, { dataset, file, paced: async () => {} }, problems);
    passed(file.name);
  }
  await checkTotals(store, { resolved, paced: async () => {} }, problems);
  const onProved = (more: number) => {
    bytes += more;
    passed();
  };
  problems.push(...(await imageProblems(store, manifest, { problems, onProved })));
  return {
    dataset,
    snapshot: id,
    files: files.length,
    bytes,
    samples: totals.samples,
    positions: totals.positions,
    problems: listed(problems, manifest),
  };
}

/** Of stored images, as files of their folder; none where their index cannot be believed. */
async function imageProblems(
  store: Store,
  manifest: Manifest,
  found: { problems: readonly FoundProblem[]; onProved: (bytes: number) => void },
): Promise<FoundProblem[]> {
  const index = imagesIndex(manifest)?.name;
  if (found.problems.some(({ file }) => file === index)) return [];
  const { dataset } = manifest;
  const problems: FoundProblem[] = [];
  for await (const { sha256, error } of damagedImages(store, manifest, found)) {
    problems.push(problemOf(imagePath(dataset, sha256).slice(dataset.length + 1), error));
  }
  return problems;
}

/** In the order of the manifest. */
function listed(problems: readonly FoundProblem[], { files }: Manifest): Problem[] {
  const order = new Map(files.map(({ name }, i) => [name, i]));
  const place = ({ file }: Problem) => order.get(file) ?? files.length;
  return [...problems]
    .sort((a, b) => place(a) - place(b))
    .slice(0, problemsMax)
    .map(({ code, file, message }) => ({ code, file, message }));
}
