/** One batch: rows of a snapshot in a layout, as a whole Arrow stream of known length. */
import type { BatchRequest, BatchTargetSet } from '../../schemas/batch.ts';
import type { TargetSet } from '../../schemas/manifest.ts';
import { LogitcaskError } from '../errors.ts';
import { encodeStream } from '../formats/arrow.ts';
import { canonicalJson } from '../formats/canonical.ts';
import { packBits } from '../formats/layout.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import type { ServeContext } from './context.ts';
import { layouts } from './layouts/table.ts';

export interface BatchOptions {
  readonly reader: SnapshotReader;
  readonly ordinals: readonly number[];
  /** 1 where a row has weight 0; none by default. */
  readonly pad?: Uint8Array;
  readonly request: BatchRequest;
  /** Where in a plan the batch stands, as schema metadata. */
  readonly place?: Readonly<Record<'plan' | 'epoch' | 'step' | 'rank' | 'world', string>>;
}

const common = ['sample_id', 'meta', 'tokens', 'mask'] as const;

/** Errors: `not-acceptable`, `request-invalid`, `temperature-unsupported`, `*-damaged`. */
export async function buildBatch(context: ServeContext, options: BatchOptions): Promise<Buffer> {
  const { reader, ordinals, request } = options;
  const { manifest } = reader;
  const layout = layouts[request.layout];
  const sets = chooseSets(options, layout.setsMax);
  const refused = sets.find((set) => !layout.accepts(set));
  if (refused !== undefined) {
    const { name, codec } = refused;
    const message = `request: target set ${name} is stored as ${codec.name}, not ${layout.name}`;
    throw new LogitcaskError('not-acceptable', message, {
      expected: 'plain or dense',
      got: layout.name,
    });
  }
  refuseLarge(options, context.config.limits.batch_positions_max);
  context.integrity.refuseQuarantined(manifest, ordinals);
  const own = Object.keys(reader.columns).filter((name) =>
    sets.some((set) => name.startsWith(`${set.name}_`)),
  );
  const stored = await reader.read(ordinals, [...common, ...own]);
  const rows = ordinals.length;
  const { types, columns, temperatureExact } = layout.build({
    manifest,
    sets,
    rows,
    stored,
    types: reader.columns,
    request,
    describe: (row) => describe(reader, ordinals[row]),
  });
  const pad = packBits(options.pad ?? new Uint8Array(rows));
  const { sample_id, meta } = reader.columns;
  return encodeStream(
    { sample_id, pad: { type: 'bool' }, meta, ...types },
    [{ sample_id: stored.sample_id, pad: { rows, buffers: [pad] }, meta: stored.meta, ...columns }],
    metadataOf(options, sets, temperatureExact),
  );
}

/** Judged by the mean length of samples, before anything is read. */
function refuseLarge({ reader, ordinals }: BatchOptions, positionsMax: number): void {
  const { positions, samples } = reader.manifest.totals;
  const about = Math.round(ordinals.length * (positions / Math.max(1, samples)));
  if (about <= positionsMax) return;
  const message = 'request: the batch would be too large; lower global_batch or raise world';
  throw new LogitcaskError('request-invalid', message, {
    expected: `at most ${positionsMax} positions`,
    got: `about ${about} positions`,
  });
}

function describe({ manifest }: SnapshotReader, ordinal: number): string {
  let first = 0;
  for (const file of manifest.files.filter(({ role }) => role === 'shard')) {
    if (ordinal < first + file.samples) return `sample ${ordinal} in ${file.name}`;
    first += file.samples;
  }
  return `sample ${ordinal}`;
}

function chooseSets({ reader, request }: BatchOptions, setsMax: number): TargetSet[] {
  const all = reader.manifest.target_sets;
  if (request.target_set === undefined) return all.slice(0, setsMax);
  const chosen = all.filter(({ name }) => name === request.target_set);
  if (chosen.length > 0) return chosen;
  const message = `request: the snapshot has no target set ${request.target_set}`;
  const expected = all.map(({ name }) => name);
  throw new LogitcaskError('request-invalid', message, { expected, got: request.target_set });
}

function metadataOf(
  { reader, ordinals, request, place }: BatchOptions,
  sets: readonly TargetSet[],
  temperatureExact: boolean,
): Record<string, string> {
  const dense = request.layout === 'dense';
  const sent: BatchTargetSet[] = sets.map(({ name, kind, codec, temperature, log_z }) => ({
    name,
    kind,
    codec: codec.name,
    temperature: dense ? request.temperature : temperature,
    temperature_exact: temperatureExact,
    log_z,
    step: float32Of(codec.parameters.step),
    tau: float32Of(codec.parameters.tau),
  }));
  const own = Object.entries(place ?? {}).map(([key, value]) => [`logitcask.${key}`, value]);
  return {
    'logitcask.version': '1',
    'logitcask.rows': String(ordinals.length),
    'logitcask.batches': '1',
    'logitcask.layout': request.layout,
    'logitcask.snapshot': reader.id,
    'logitcask.alignment': 'predicts-next',
    'logitcask.label_space': canonicalJson(reader.manifest.label_space),
    'logitcask.target_sets': canonicalJson(sent),
    ...Object.fromEntries(own),
  };
}

/** As the codec rounds it, so that every client computes with the same number. */
function float32Of(parameter: number | string | undefined): number | null {
  return typeof parameter === 'number' ? Math.fround(parameter) : null;
}
