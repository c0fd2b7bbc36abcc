/** The schema message of a batch: what it holds and what was asked for. */
import type { BatchTargetSet } from '../../schemas/batch.ts';
import type { ColumnTypes } from '../formats/arrow.ts';
import { schemaTemplate } from '../formats/arrow-wire.ts';
import { canonicalJson } from '../formats/canonical.ts';
import { kindMetadata } from '../shard/columns.ts';
import type { Prepared } from './prepare.ts';

/** Where in a plan batches stand: what all requests like this one share, and what they do not. */
export interface Place {
  readonly fixed: Readonly<Record<string, string>>;
  readonly varying: Readonly<Record<string, string>>;
}

/** What a stream says of its batches. */
export interface Announced {
  readonly types: ColumnTypes;
  readonly rows: number;
  /** What a smaller vocabulary left out; absent where none was asked for. */
  readonly dropped?: { readonly entries: number; readonly meanMass: number };
}

export interface HeadOptions {
  readonly batch: Announced;
  readonly batches?: number;
  readonly place?: Place;
}

/** The message's bytes; nothing but numbers is written again for requests like one before. */
export function headOf(prepared: Prepared, { batch, batches = 1, place }: HeadOptions): Uint8Array {
  const varying: Record<string, string> = { rows: String(batch.rows), ...place?.varying };
  if (batch.dropped !== undefined) {
    varying.dropped_entries = String(batch.dropped.entries);
    varying.dropped_mass = batch.dropped.meanMass.toPrecision(9);
  }
  const fixed = { batches: String(batches), ...place?.fixed };
  const prefixed = (values: Readonly<Record<string, string>>) =>
    Object.fromEntries(Object.entries(values).map(([key, value]) => [`logitcask.${key}`, value]));
  const shape = [fixed, Object.keys(varying), shapeOf(batch.types)];
  const key = JSON.stringify(shape);
  const { heads } = prepared;
  let template = heads.get(key);
  if (template === undefined) {
    const metadata = { ...metadataOf(prepared), ...prefixed(fixed) };
    template = schemaTemplate(batch.types, metadata, Object.keys(prefixed(varying)));
    heads.set(key, template, 1);
  }
  return template(Object.values(varying));
}

/** Batches of one request differ in their columns' number and padding only. */
function shapeOf(types: ColumnTypes): unknown[] {
  const { mask } = types;
  return [Object.keys(types).length, mask.type === 'fixed_list' ? mask.size : 0];
}

function metadataOf({ readers, request, sets, view }: Prepared): Record<string, string> {
  const dense = request.layout === 'dense';
  const sent: BatchTargetSet[] = sets.map((set) => ({
    name: set.name,
    kind: set.kind,
    codec: set.codec.name,
    temperature: dense ? request.temperature : set.temperature,
    temperature_exact: view.temperatureExact ?? set.temperature_exact,
    log_z: set.log_z,
    step: float32Of(set.codec.parameters.step),
    tau: float32Of(set.codec.parameters.tau),
    label_space: set.label_space,
  }));
  return {
    'logitcask.version': '1',
    'logitcask.layout': request.layout,
    'logitcask.snapshot': readers.map(({ id }) => id).join(','),
    ...kindMetadata(readers[0].manifest),
    'logitcask.label_space': canonicalJson(readers[0].manifest.label_space),
    'logitcask.target_sets': canonicalJson(sent),
    ...(request.vocab_size && { 'logitcask.vocab_size': String(request.vocab_size) }),
  };
}

/** As the codec rounds it, so that every client computes with the same number. */
function float32Of(parameter: number | string | undefined): number | null {
  return typeof parameter === 'number' ? Math.fround(parameter) : null;
}
