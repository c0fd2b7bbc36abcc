/** A build that adds to a snapshot: the shards of the parent come first, as the files they are. */
import type { LabelSpace, ManifestFile, TargetSet } from '../../schemas/manifest.ts';
import { LogitcaskError } from '../errors.ts';
import { canonicalJson } from '../formats/canonical.ts';
import { filePath } from '../shard/names.ts';
import { type ReferencePicker, type ReferencePosition, readReference } from '../shard/reference.ts';
import type { ResolvedSnapshot } from '../shard/snapshot.ts';
import type { Store } from '../store/store.ts';

/** What a snapshot that adds to a parent has of its files: shards and their indexes. */
export function keptFiles(parent: ResolvedSnapshot | undefined): ManifestFile[] {
  const isKept = ({ role, samples }: ManifestFile) =>
    role === 'shard' || (role === 'index' && samples > 0);
  return parent?.manifest.files.filter(isKept) ?? [];
}

/** Lists of the parent's reference, which belong to the sketch of the whole. */
export async function* parentReference(
  store: Store,
  parent: ResolvedSnapshot | undefined,
): AsyncGenerator<ReferencePosition[]> {
  const file = parent?.manifest.files.find(({ role }) => role === 'reference');
  if (parent === undefined || file === undefined) return;
  yield* readReference(store, filePath(parent.manifest.dataset, file.name));
}

export async function restoreReference(
  store: Store,
  parent: ResolvedSnapshot | undefined,
  picker: ReferencePicker,
): Promise<void> {
  for await (const rows of parentReference(store, parent)) {
    for (const { priority, head } of rows) if (!head) picker.restore(priority);
  }
  picker.sample(); // what is asked for from now on is what can still enter
}

/** Throws `conflict` unless samples of both can lie in one snapshot. */
export function refuseOther(
  parent: ResolvedSnapshot | undefined,
  sets: readonly TargetSet[],
  labelSpace: LabelSpace,
): void {
  if (parent === undefined) return;
  const { manifest } = parent;
  const made = ({ entries, fidelity, alignment, ...set }: TargetSet) => set;
  const expected = { label_space: manifest.label_space, sets: manifest.target_sets.map(made) };
  const got = { label_space: labelSpace, sets: sets.map(made) };
  if (canonicalJson(expected) === canonicalJson(got)) return;
  const message =
    `build: data set \`${manifest.dataset}\` holds targets of another teacher or made otherwise; ` +
    'choose another data set';
  throw new LogitcaskError('conflict', message, { expected, got });
}
