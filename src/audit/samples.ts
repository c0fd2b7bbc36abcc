/** Rows of a shard as samples: proved, decoded, and shown to whoever counts. */
import type { Manifest, TargetSet } from '../../schemas/manifest.ts';
import type { Codec } from '../encode/codec.ts';
import { openCodec } from '../encode/table.ts';
import { LogitcaskError } from '../errors.ts';
import { itemBytes, textsOf } from '../formats/cells.ts';
import { fromFloat16 } from '../formats/float16.ts';
import { type Column, int32Of, unpackBits } from '../formats/layout.ts';
import { visionInputs } from '../shard/inputs.ts';
import type { ReferencePosition } from '../shard/reference.ts';
import { rowSampleIds } from '../shard/row-ids.ts';
import { labelSpaceDigest, sampleIdBytes, textSampleId } from '../shard/sample-id.ts';
import type { AuditSample, AuditTargets } from './tally.ts';

export interface Samples {
  /**
   * Shows the samples of some rows, the first of which has this ordinal. A row that is wrong is
   * named; it is shown as long as it can be decoded. Of `reference`, in order of ordinals, each
   * sample gets its own.
   */
  show(columns: Readonly<Record<string, Column>>, first: number, visit: SampleVisitor): void;
}

export interface SampleVisitor {
  add(sample: AuditSample, ordinal: number): void;
  wrong(error: unknown): void;
}

/** A column whose rows are lists: where they begin, and the items as they are needed. */
interface Lists<Items> {
  readonly offsets: Int32Array;
  readonly items: Items;
}

interface OpenSet {
  readonly set: TargetSet;
  readonly decode: Codec['decode'];
  readonly columns: readonly { name: string; width: number }[];
}

/** The columns of one set over some rows. */
interface SetRows extends OpenSet {
  readonly cells: readonly (Lists<Uint8Array> & { width: number })[];
  readonly labelLogprob: Lists<Float32Array> | undefined;
  readonly logZ: Lists<Float32Array> | undefined;
}

const noValues = new Float32Array(0);

export function openSamples(
  manifest: Manifest,
  reference: readonly ReferencePosition[] = [],
): Samples {
  const referenceOf = byOrdinal(reference);
  const { label_space } = manifest;
  const reader = manifest.kind === 'text' ? textReader(manifest) : imageReader(manifest);
  const sets = manifest.target_sets.map((set, slot): OpenSet => {
    const codec = openCodec(set, label_space);
    const columns = Object.entries(codec.columns).map(([suffix, type]) => {
      return { name: `${set.name}_${suffix}`, width: itemBytes(type) };
    });
    const decode: Codec['decode'] = (cells, count) =>
      codec.decodeLent?.(cells, { count, slot }) ?? codec.decode(cells, count);
    return { set, decode, columns };
  });
  return {
    show(columns, first, { add, wrong }) {
      const rows = reader(columns);
      const own = sets.map((set) => setRows(set, columns));
      for (let row = 0; row < columns.sample_id.rows; row++) {
        try {
          const { input, fault } = rows(row);
          if (fault !== undefined) wrong(wrongRow(first + row, fault.what));
          if (fault?.isFatal) continue;
          const { length } = input.mask;
          const found = own.map((set) => targetsOf(set, { row, length }));
          const ordinal = first + row;
          add({ ...input, reference: referenceOf(ordinal), sets: found }, ordinal);
        } catch (error) {
          wrong(error);
        }
      }
    },
  };
}

const noReference: readonly ReferencePosition[] = [];

/** Asked for ordinals that ascend. */
function byOrdinal(reference: readonly ReferencePosition[]) {
  let at = 0;
  return (ordinal: number) => {
    while (at < reference.length && reference[at].ordinal < ordinal) at++;
    const from = at;
    while (at < reference.length && reference[at].ordinal === ordinal) at++;
    return from === at ? noReference : reference.slice(from, at);
  };
}

type Input = Omit<AuditSample, 'sets' | 'reference'>;
type ReadRow = (row: number) => { readonly input: Input; readonly fault: Fault | undefined };
type ShardColumns = Readonly<Record<string, Column>>;

function textReader({ label_space }: Manifest): (columns: ShardColumns) => ReadRow {
  const labelSpace = labelSpaceDigest(label_space);
  return (columns) => {
    const rows = rowsOf(columns);
    return (row) => {
      const input = inputOf(rows, row);
      return { input, fault: faultOf(input, { labelSpace, width: label_space.size }) };
    };
  };
}

const noTokens = new Int32Array(0);

function imageReader(manifest: Manifest): (columns: ShardColumns) => ReadRow {
  const { input_fields: fields = [] } = manifest;
  const place = fields.findIndex(({ name }) => name === 'hard_label');
  return (columns) => {
    const idOf = rowSampleIds(manifest, columns);
    const metas = textsOf(columns.meta);
    return (row) => {
      const { mask, values } = visionInputs({ columns, fields }, row);
      const sampleId = columns.sample_id.buffers[0].subarray(
        row * sampleIdBytes,
        (row + 1) * sampleIdBytes,
      );
      const labels = place < 0 ? new Int32Array(mask.length).fill(-1) : int32Of(values[place]);
      const what = 'its sample id is not that of its image, inputs and mask';
      const fault = idOf(row).equals(sampleId) ? undefined : { what, isFatal: false };
      return { input: { tokens: noTokens, labels, mask, meta: metas[row], sampleId }, fault };
    };
  };
}

function rowsOf({ tokens, mask, meta, sample_id }: Readonly<Record<string, Column>>) {
  const [maskOffsets, texts] = [int32Of(mask.buffers[0]), meta.buffers[1]];
  return {
    tokens: { offsets: int32Of(tokens.buffers[0]), items: int32Of(tokens.buffers[1]) },
    mask: { offsets: maskOffsets, items: unpackBits(mask.buffers[1], maskOffsets[mask.rows]) },
    meta: {
      offsets: int32Of(meta.buffers[0]),
      items: Buffer.from(texts.buffer, texts.byteOffset, texts.byteLength),
    },
    ids: sample_id.buffers[0],
  };
}

function inputOf({ tokens, mask, meta, ids }: ReturnType<typeof rowsOf>, row: number) {
  const own = tokens.items.subarray(tokens.offsets[row], tokens.offsets[row + 1]);
  return {
    tokens: own,
    labels: own.subarray(1),
    mask: mask.items.subarray(mask.offsets[row], mask.offsets[row + 1]),
    meta: meta.items.toString('utf8', meta.offsets[row], meta.offsets[row + 1]),
    sampleId: ids.subarray(row * sampleIdBytes, (row + 1) * sampleIdBytes),
  };
}

interface Fault {
  readonly what: string;
  /** It cannot be counted. */
  readonly isFatal: boolean;
}

function faultOf(
  { tokens, mask, sampleId }: Pick<AuditSample, 'tokens' | 'mask' | 'sampleId'>,
  { labelSpace, width }: { labelSpace: Uint8Array; width: number },
): Fault | undefined {
  const isOutside = hasOutside(tokens, width);
  if (!textSampleId(labelSpace, { tokens, mask }).equals(sampleId)) {
    const what = 'its sample id is not that of its tokens and mask';
    return { what, isFatal: isOutside || mask.length !== tokens.length };
  }
  if (isOutside) return { what: 'a token lies outside the label space', isFatal: true };
  if (mask.at(-1) === 1) return { what: 'the mask is set at the last position', isFatal: false };
  return undefined;
}

function hasOutside(tokens: Int32Array, width: number): boolean {
  for (let t = 0; t < tokens.length; t++) {
    if (tokens[t] < 0 || tokens[t] >= width) return true;
  }
  return false;
}

function setRows(set: OpenSet, columns: Readonly<Record<string, Column>>): SetRows {
  const cells = set.columns.map(({ name, width }) => {
    const [offsets, items] = columns[name].buffers;
    return { offsets: int32Of(offsets), items, width };
  });
  const values = (name: string, read: (bytes: ArrayBuffer) => Float32Array) => {
    const column = columns[`${set.set.name}_${name}`] as Column | undefined;
    if (column === undefined) return undefined;
    const [offsets, items] = column.buffers;
    return { offsets: int32Of(offsets), items: read(new Uint8Array(items).buffer) };
  };
  return {
    ...set,
    cells,
    labelLogprob: values('label_logprob', (bytes) => fromFloat16(new Uint16Array(bytes))),
    logZ: values('log_z', (bytes) => new Float32Array(bytes)),
  };
}

/** Throws `frame-damaged`. */
function targetsOf(rows: SetRows, { row, length }: { row: number; length: number }): AuditTargets {
  const { set, decode } = rows;
  let bytes = 0;
  const cells = rows.cells.map(({ offsets, items, width }) => {
    const cell = items.subarray(offsets[row] * width, offsets[row + 1] * width);
    bytes += cell.byteLength;
    return cell;
  });
  return {
    set,
    targets: decode(cells, length),
    labelLogprob: valuesAt(rows.labelLogprob, row, length),
    logZ: valuesAt(rows.logZ, row, length * set.log_z.length) ?? noValues,
    bytes,
  };
}

function valuesAt(lists: Lists<Float32Array> | undefined, ...[row, length]: [number, number]) {
  if (lists === undefined) return undefined;
  const found = lists.items.subarray(lists.offsets[row], lists.offsets[row + 1]);
  if (found.length === length) return found;
  const message = 'frame: a sample has values of another number of positions; restore a good copy';
  throw new LogitcaskError('frame-damaged', message, { expected: length, got: found.length });
}

export function wrongRow(ordinal: number, what: string): LogitcaskError {
  const message = `verify: sample ${ordinal}: ${what}; build the data set again`;
  return new LogitcaskError('shard-damaged', message, { got: ordinal });
}
