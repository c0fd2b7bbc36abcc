/** The layouts of list files, by their keys: each takes records and gives drafts of samples. */
import { LogitcaskError } from '../errors.ts';
import type { Nested } from '../formats/nested.ts';
import { type Draft, listsIn, wrongLabel } from './lists-draft.ts';
import { type ListRecord, mismatch, nestedAt, numberOf, numbersAt } from './lists-record.ts';

export interface Layout {
  /** Keys that tell the layout. */
  readonly needs: readonly string[];
  /** All keys that it reads. */
  readonly reads: readonly string[];
  drafts(records: AsyncIterable<ListRecord>): AsyncGenerator<Draft>;
}

const sampleMax = 2 ** 20;
const entriesMax = 2 ** 23;

/** A layout whose records are samples. */
function bySample(
  keys: Pick<Layout, 'needs'> & { also: readonly string[] },
  draft: (record: ListRecord) => Draft,
): Layout {
  return {
    needs: keys.needs,
    reads: [...keys.needs, ...keys.also],
    async *drafts(records) {
      for await (const record of records) yield draft(record);
    },
  };
}

function needed<T>(record: ListRecord, key: string, found: T | undefined): T {
  if (found !== undefined) return found;
  throw mismatch(record.place, key, `no ${key}`);
}

const numbers = (record: ListRecord, key: string) => needed(record, key, numbersAt(record, key));
const nested = (record: ListRecord, key: string) => needed(record, key, nestedAt(record, key));
const metaOf = ({ file, row }: ListRecord) => ({ file, row });

/** Hugging Face's labels and attention mask, the latter with a number for each document. */
const trainingKeys = ['labels', 'attention_mask'];
const trainingOf = (record: ListRecord) => ({
  labels: numbersAt(record, 'labels'),
  documents: numbersAt(record, 'attention_mask'),
});

/** Order matters where a file fits several: what names more comes first. */
export const layouts = {
  /** NeMo-Aligner: logits with their log-sum-exp; labels are the tokens one further on. */
  'nemo-aligner': bySample(
    {
      needs: ['topk_logits', 'topk_token_ids'],
      also: ['tokens', 'labels', 'loss_mask', 'log_sum_exp_logits', 'index'],
    },
    nemoAligner,
  ),
  /** axolotl's offline distillation; entries that its mask leaves out are dropped. */
  axolotl: bySample(
    {
      needs: ['input_ids', 'target_token_ids', 'target_logprobs'],
      also: ['target_mask', ...trainingKeys],
    },
    (record) => ({
      place: record.place,
      meta: metaOf(record),
      tokens: numbers(record, 'input_ids'),
      ids: nested(record, 'target_token_ids'),
      values: nested(record, 'target_logprobs'),
      entryMask: nestedAt(record, 'target_mask'),
      ...trainingOf(record),
    }),
  ),
  /** DistillKit's raw columns. */
  distillkit: bySample(
    { needs: ['input_ids', 'token_ids', 'top_values'], also: trainingKeys },
    (record) => ({
      place: record.place,
      meta: metaOf(record),
      tokens: numbers(record, 'input_ids'),
      ids: nested(record, 'token_ids'),
      values: nested(record, 'top_values'),
      ...trainingOf(record),
    }),
  ),
  /** One position a record. */
  positions: {
    needs: ['sample', 'position', 'token', 'ids', 'logprobs'],
    reads: ['sample', 'position', 'token', 'ids', 'logprobs', 'tail', 'mask'],
    drafts: positions,
  } satisfies Layout,
  /** One sample a record, under the names that a `.npz` of top lists has. */
  samples: bySample(
    { needs: ['tokens', 'ids', 'logprobs'], also: ['tail', 'mask', ...trainingKeys] },
    (record) => ({
      place: record.place,
      meta: metaOf(record),
      tokens: numbers(record, 'tokens'),
      ids: nested(record, 'ids'),
      values: nested(record, 'logprobs'),
      tail: numbersAt(record, 'tail'),
      mask: numbersAt(record, 'mask'),
      ...trainingOf(record),
    }),
  ),
} as const satisfies Record<string, Layout>;

export type LayoutName = keyof typeof layouts;

/** Throws `source-mismatch` where the keys are those of no layout. */
export function detectLayout(keys: readonly string[], file: string): LayoutName {
  const fits = ([, { needs }]: [string, Layout]) => needs.every((key) => keys.includes(key));
  const found = Object.entries(layouts).find(fits);
  if (found !== undefined) return found[0] as LayoutName;
  const expected = Object.entries(layouts).map(([name, { needs }]) => `${name}: ${needs.join()}`);
  const packed = ['compressed_logprobs', 'packed_indices'].find((key) => keys.includes(key));
  const what =
    packed === undefined
      ? 'the keys of no layout; rename them'
      : `DistillKit's compressed lists (${packed}); unpack them with its LogprobCompressor`;
  const message = `capture: ${file} holds ${what} (docs/import.md)`;
  throw new LogitcaskError('source-mismatch', message, { expected, got: keys.slice(0, 40) });
}

/**
 * Behind the last position to be learned there is padding, up to the longest of a batch; the label
 * of that position ends the sample.
 */
function nemoAligner(record: ListRecord): Draft {
  const { place } = record;
  const [tokens, labels] = [numbers(record, 'tokens'), numbers(record, 'labels')];
  const mask = numbers(record, 'loss_mask');
  const logNormaliser = numbersAt(record, 'log_sum_exp_logits');
  if (logNormaliser === undefined) {
    throw mismatch(place, 'log_sum_exp_logits, which makes log-probs of them', 'logits without it');
  }
  const [ids, values] = [nested(record, 'topk_token_ids'), nested(record, 'topk_logits')];
  const lengths = [tokens, labels, mask, logNormaliser].map(({ length }) => length);
  lengths.push(listsIn(ids), listsIn(values));
  if (new Set(lengths).size > 1) throw mismatch(place, 'columns of one length', `${lengths}`);
  const last = mask.findLastIndex((learned) => learned !== 0);
  const length = last < 0 ? tokens.length : last + 1;
  const { index } = record.cells;
  for (let t = 0; t + 1 < length; t++) {
    if (mask[t] !== 0 && labels[t] !== tokens[t + 1]) {
      throw wrongLabel(place, { t, labels, tokens, further: 1 });
    }
  }
  const labelled = new Float64Array(length + 1);
  labelled.set(tokens.subarray(0, length));
  labelled.set(labels.subarray(length - 1, length), length);
  return {
    place,
    meta: Number.isSafeInteger(index) ? { ...metaOf(record), index } : metaOf(record),
    tokens: labelled,
    ids: listsUntil(ids, length),
    values: listsUntil(values, length),
    logNormaliser: logNormaliser.subarray(0, length),
    mask: mask.subarray(0, length),
  };
}

const listsUntil = ({ values, offsets }: Nested, end: number): Nested => ({
  values,
  offsets: offsets.subarray(0, end + 1),
});

/** Consecutive records with one `sample` are put together. */
async function* positions(records: AsyncIterable<ListRecord>): AsyncGenerator<Draft> {
  let held: ListRecord[] = [];
  let entries = 0;
  for await (const record of records) {
    const isNext =
      held.length > 0 &&
      held[0].file === record.file &&
      held[0].cells.sample === record.cells.sample;
    if (held.length > 0 && !isNext) {
      yield joined(held);
      held = [];
      entries = 0;
    }
    const { position, sample } = record.cells;
    if (typeof sample !== 'string' && !Number.isSafeInteger(sample)) {
      throw mismatch(record.place, 'a text or whole number as sample', typeof sample);
    }
    if (position !== held.length) {
      const what = `position ${held.length} of sample ${sample}`;
      throw mismatch(record.place, `${what} (sorted by sample and position)`, `${position}`);
    }
    held.push(record);
    entries += (numbersAt(record, 'ids') ?? []).length;
    if (held.length > sampleMax || entries > entriesMax) {
      const expected = `a sample of at most ${sampleMax} positions and ${entriesMax} entries`;
      throw mismatch(record.place, expected, `${held.length} and ${entries}`);
    }
  }
  if (held.length > 0) yield joined(held);
}

function joined(records: readonly ListRecord[]): Draft {
  const [{ place, file, cells }] = records;
  const column = (key: string) =>
    Float64Array.from(records, (record) =>
      numberOf(record.cells[key], { place: record.place, key }),
    );
  const optional = (key: string) => (cells[key] === undefined ? undefined : column(key));
  const lists = (key: string): Nested => {
    const parts = records.map((record) => numbersAt(record, key) ?? new Float64Array(0));
    const offsets = new Uint32Array(parts.length + 1);
    for (const [i, part] of parts.entries()) offsets[i + 1] = offsets[i] + part.length;
    const values = new Float64Array(offsets[parts.length]);
    for (const [i, part] of parts.entries()) values.set(part, offsets[i]);
    return { values, offsets };
  };
  return {
    place: `the sample from ${place} on`,
    meta: { file, sample: cells.sample },
    tokens: column('token'),
    ids: lists('ids'),
    values: lists('logprobs'),
    tail: optional('tail'),
    mask: optional('mask'),
  };
}
