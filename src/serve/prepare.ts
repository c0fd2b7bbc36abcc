/** What a request asks of its snapshots, worked out once and kept for the requests like it. */
import type { BatchRequest } from '../../schemas/batch.ts';
import type { TargetSet } from '../../schemas/manifest.ts';
import { LogitcaskError } from '../errors.ts';
import type { ColumnTypes } from '../formats/arrow.ts';
import type { schemaTemplate } from '../formats/arrow-wire.ts';
import { canonicalJson } from '../formats/canonical.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import { createLru, type Lru } from '../store/lru.ts';
import type { ViewSpec } from './convert.ts';
import type { View } from './layouts/layout.ts';
import { layouts } from './layouts/table.ts';
import { oncePerQuery } from './queries.ts';

export interface Prepared {
  /** Snapshots of the plan's streams, in order. */
  readonly readers: readonly SnapshotReader[];
  readonly request: BatchRequest;
  /** Target sets that are sent, as the first stream has them. */
  readonly sets: readonly TargetSet[];
  readonly view: View;
  /** How a thread makes the view, where samples are decoded for it. */
  readonly spec?: ViewSpec;
  /** Dense: entries a position. */
  readonly k: number;
  /** Types of the columns of batches like those before. */
  readonly types: Lru<ColumnTypes>;
  /** Schema messages that have been sent. */
  readonly heads: Lru<ReturnType<typeof schemaTemplate>>;
}

const headsMax = 16;
const preparedMax = 64;

/** `prepare`, for any rank and world, kept for the requests like it. */
export function createPrepare(): typeof prepare {
  const kept = createLru<Prepared>(preparedMax);
  // the text alone is kept with a query, not what it led to, which holds snapshots and must go when
  // it is evicted
  const viewText = oncePerQuery(textOf);
  return (readers, request) => {
    const key = `${readers.map(({ id }) => id)} ${viewText(request)}`;
    const known = kept.get(key);
    if (known !== undefined && isOf(known, readers)) return known;
    const made = prepare(readers, { ...request, rank: 0, world: 1 });
    kept.set(key, made, 1);
    return made;
  };
}

function textOf({ rank, world, replicate, snapshot, ...view }: BatchRequest): string {
  return JSON.stringify(view);
}

function isOf(prepared: Prepared, readers: readonly SnapshotReader[]): boolean {
  return (
    prepared.readers.length === readers.length &&
    prepared.readers.every((reader, i) => reader === readers[i])
  );
}

/** Errors: `not-acceptable`, `request-invalid`, `temperature-unsupported`, `conflict`. */
function prepare(readers: readonly SnapshotReader[], request: BatchRequest): Prepared {
  const layout = layouts[request.layout];
  const chosen = readers.map((reader) => chooseSets(reader, request, layout.setsMax));
  const [sets] = chosen;
  const refused = chosen.flat().find((set) => !layout.accepts(set));
  if (refused !== undefined) {
    const { name, codec } = refused;
    const message = `request: target set ${name} is stored as ${codec.name}, not ${layout.name}`;
    throw new LogitcaskError('not-acceptable', message, {
      expected: 'plain or dense',
      got: layout.name,
    });
  }
  if (request.vocab_size !== undefined && layout.name !== 'dense') {
    const message = 'request: vocab_size needs layout dense';
    throw new LogitcaskError('request-invalid', message, { expected: 'dense', got: layout.name });
  }
  refuseOthers(readers, chosen);
  const [{ manifest, columns: stored }] = readers;
  const most = Math.max(...chosen.map(([set]) => set?.sparsifier.entries_max ?? 1));
  const k = request.k ?? most;
  const { kind, label_space, input_fields } = manifest;
  const options = {
    manifest: { kind, label_space, input_fields },
    stored,
    sets,
    request: { ...request, k },
  };
  const view = layout.view(options);
  const decodes = layout.name !== 'frames' && sets.some(({ codec }) => codec.name === 'planes');
  const spec = { key: `${readers[0].id} ${view.key}`, layout: layout.name, options };
  return {
    readers,
    request,
    sets,
    view,
    spec: decodes ? spec : undefined,
    k,
    types: createLru(headsMax),
    heads: createLru(headsMax),
  };
}

function chooseSets(
  { manifest }: SnapshotReader,
  { target_set: wanted }: BatchRequest,
  setsMax: number,
): TargetSet[] {
  const all = manifest.target_sets;
  if (wanted === undefined) return all.slice(0, setsMax);
  const chosen = all.filter(({ name }) => name === wanted);
  if (chosen.length > 0) return chosen;
  const message = `request: the snapshot has no target set ${wanted}`;
  const expected = all.map(({ name }) => name);
  throw new LogitcaskError('request-invalid', message, { expected, got: wanted });
}

/** Streams of one batch must be read alike. */
function refuseOthers(
  readers: readonly SnapshotReader[],
  chosen: readonly (readonly TargetSet[])[],
): void {
  const alike = readers.map(({ manifest }, i) => ({
    label_space: manifest.label_space,
    input_fields: manifest.input_fields,
    augmentation_pipeline: manifest.augmentation_pipeline,
    target_sets: chosen[i].map(({ codec, ...set }) => {
      const { name, kind, temperature, log_z, label_logprob, label_space } = set;
      const { step = null, tau = null } = codec.parameters;
      const read = { name, kind, temperature, log_z, label_logprob, label_space };
      return { ...read, codec: codec.name, step, tau };
    }),
  }));
  const other = alike.find((one) => canonicalJson(one) !== canonicalJson(alike[0]));
  if (other === undefined) return;
  const message = 'request: the streams of the plan differ in label space, inputs or target sets';
  throw new LogitcaskError('conflict', message, { expected: alike[0], got: other });
}
