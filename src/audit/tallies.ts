/** The table of tallies: what the pass counts, one line a value in the result of each shard. */
import type { Manifest } from '../../schemas/manifest.ts';
import { alignment } from './alignment.ts';
import { coverage } from './coverage.ts';
import { distributions } from './distributions.ts';
import { reference } from './reference-tally.ts';
import type { AuditSample, Tally, TallyKind } from './tally.ts';

const kinds = { alignment, coverage, distributions, reference } as const;

type Kinds = typeof kinds;
type ValueOf<K> = K extends TallyKind<infer Value> ? Value : never;

export type TallyValues = { readonly [Name in keyof Kinds]: ValueOf<Kinds[Name]> };

const names = Object.keys(kinds) as (keyof Kinds)[];

/** Raise it when the shape or the meaning of a tally's value changes. */
const valuesVersion = 3;
/** Changes with the table and its values: what an older one counted is counted again. */
export const talliesVersion = `${valuesVersion} ${names.join()}`;

function byName<T>(each: (kind: TallyKind<unknown>, name: keyof Kinds) => T) {
  const found = names.map((name) => [name, each(kinds[name] as TallyKind<unknown>, name)]);
  return Object.fromEntries(found);
}

/** All of the table over one shard, which is the only file of the manifest. */
export function beginTallies(manifest: Manifest): {
  add(sample: AuditSample): void;
  values(): TallyValues;
} {
  const begun: Record<string, Tally<unknown>> = byName((kind) => kind.begin(manifest));
  const tallies = Object.values(begun);
  return {
    add(sample) {
      for (const tally of tallies) tally.add(sample);
    },
    values: () => byName((_, name) => begun[name].value()),
  };
}

export function mergeValues(a: TallyValues, b: TallyValues): TallyValues {
  return byName((kind, name) => kind.merge(a[name], b[name]));
}

/** Of no shard. */
export function noValues(manifest: Manifest): TallyValues {
  return beginTallies({ ...manifest, files: [] }).values();
}
