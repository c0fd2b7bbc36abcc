/** A snapshot at a glance, in bounded size: what its manifest says, without the list of files. */
import type { Statistics } from '../../schemas/audit.ts';
import type { LabelSpace, ManifestFile, TargetSet } from '../../schemas/manifest.ts';
import type { ResolvedSnapshot } from '../shard/snapshot.ts';

/** What never changes under a digest. */
export type SnapshotFacts = Omit<Statistics, 'tags' | 'audit'>;

export function factsOf({ id, manifest }: ResolvedSnapshot): SnapshotFacts {
  const { dataset, kind, label_space, totals, inputs, parent, target_sets, files, images } =
    manifest;
  return {
    dataset,
    snapshot: id,
    kind,
    label_space: withoutNames(label_space),
    totals,
    roles: rolesOf(files),
    bytes_per_position: totals.bytes / Math.max(1, totals.positions),
    images: images ?? null,
    origin: inputs.origin,
    licence: inputs.licence,
    model_input: inputs.model_input ?? null,
    parent,
    target_sets: target_sets.map((set) => setFacts(set, totals.positions)),
  };
}

const withoutNames = ({ kind, size, tokenizer }: LabelSpace) => ({ kind, size, tokenizer });

function rolesOf(files: readonly ManifestFile[]): SnapshotFacts['roles'] {
  const roles = new Map<ManifestFile['role'], { files: number; bytes: number }>();
  for (const { role, bytes } of files) {
    const sum = roles.get(role) ?? { files: 0, bytes: 0 };
    roles.set(role, { files: sum.files + 1, bytes: sum.bytes + bytes });
  }
  return [...roles].map(([role, sum]) => ({ role, ...sum }));
}

function setFacts(set: TargetSet, positions: number): SnapshotFacts['target_sets'][number] {
  const { name, kind, teacher, sparsifier, codec, temperature, log_z } = set;
  return {
    name,
    teacher: teacher.name,
    kind,
    label_space: set.label_space === undefined ? null : withoutNames(set.label_space),
    normalisation: set.normalisation,
    sparsifier: inWords(sparsifier),
    codec: inWords(codec),
    temperature,
    log_z,
    entries_per_position: set.entries / Math.max(1, positions),
    fidelity: set.fidelity,
    alignment: set.alignment,
  };
}

/** `top-k k=64` */
function inWords({ name, parameters }: TargetSet['sparsifier'] | TargetSet['codec']): string {
  return [name, ...Object.entries(parameters).map(([key, value]) => `${key}=${value}`)].join(' ');
}
