/** Drafts to samples: documents are parted, lists put to their positions, in order, and checked. */
import type { ListRows } from '../distribution/rows.ts';
import { LogitcaskError } from '../errors.ts';
import { type Draft, listsIn, wrongLabel } from './lists-draft.ts';
import { mismatch } from './lists-record.ts';
import type { Chunk, SampleInput } from './source.ts';
import { chunkBytesMax } from './source.ts';
import { createListCheck, orderList } from './top-list.ts';

export interface SampleOptions {
  /** V */
  readonly width: number;
  /** `tokens`: the list of a token is its own distribution, not the next one's. */
  readonly aligned: 'logits' | 'tokens';
}

const sampleMax = 2 ** 20;

export type ListSample = Pick<SampleInput, 'tokens' | 'mask' | 'meta' | 'image'> & {
  readonly rows: ListRows;
};

/** Samples of a draft, one a document. */
export function* samplesOf(draft: Draft, options: SampleOptions): Generator<ListSample> {
  const shift = shiftOf(draft, options);
  checkLabels(draft);
  for (const [document, [from, to]] of documentsOf(draft).entries()) {
    const sample = sampleOf(draft, { from, to, shift, options });
    const meta = draft.documents === undefined ? draft.meta : { ...draft.meta, document };
    yield { ...sample, meta };
  }
}

/** List t + shift belongs to position t. With one list less than tokens there is no doubt. */
function shiftOf(draft: Draft, { aligned, width }: SampleOptions): 0 | 1 {
  const { place, tokens, ids, values } = draft;
  const lists = listsIn(ids);
  if (tokens.length === 0 || tokens.length > sampleMax) {
    throw mismatch(place, `1 to ${sampleMax} tokens`, tokens.length);
  }
  if (listsIn(values) !== lists || (lists !== tokens.length && lists !== tokens.length - 1)) {
    const got = `${lists} lists of ids, ${listsIn(values)} of values, ${tokens.length} tokens`;
    throw mismatch(place, 'a list for each token, or for each but the last', got);
  }
  for (const name of ['logNormaliser', 'tail', 'mask', 'labels', 'documents'] as const) {
    const least = name === 'labels' || name === 'documents' ? tokens.length : lists;
    const got = draft[name]?.length ?? least;
    if (got < least || got > tokens.length) {
      throw mismatch(place, `${name} of ${least} values`, got);
    }
  }
  const t = tokens.findIndex((id) => !(Number.isInteger(id) && id >= 0 && id < width));
  if (t < 0) return aligned === 'tokens' && lists === tokens.length ? 1 : 0;
  const message = `capture: ${place}: token ${tokens[t]} at ${t} is outside V = ${width}`;
  const expected = `0 … ${width - 1}`;
  throw new LogitcaskError('token-out-of-range', message, { expected, got: tokens[t] });
}

function checkLabels({ place, tokens, labels }: Draft): void {
  const t = labels?.findIndex((label, i) => label >= 0 && label !== tokens[i]) ?? -1;
  if (labels !== undefined && t >= 0) throw wrongLabel(place, { t, labels, tokens, further: 0 });
}

/** Runs of one number other than 0, which marks padding. */
function documentsOf({ tokens, documents }: Draft): [number, number][] {
  const runs: [number, number][] = [];
  for (let from = 0, to = 0; from < tokens.length; from = to) {
    const own = documents?.[from];
    while (to < tokens.length && documents?.[to] === own) to++;
    if (own !== 0) runs.push([from, to]);
  }
  return runs;
}

function sampleOf(
  draft: Draft,
  { from, to, shift, options }: { from: number; to: number; shift: 0 | 1; options: SampleOptions },
): Omit<ListSample, 'meta'> {
  const { place, labels, mask: learned, tail } = draft;
  const { width } = options;
  const count = to - from;
  const lists = listsIn(draft.ids);
  const most = draft.ids.offsets[Math.min(lists, to + shift)] - draft.ids.offsets[from];
  const ids = new Uint32Array(most);
  const logprobs = new Float32Array(most);
  const offsets = new Uint32Array(count + 1);
  const tails = tail && new Float32Array(count).fill(1);
  const mask = new Uint8Array(count);
  const check = createListCheck(width);
  for (let t = 0, at = 0; t < count; t++) {
    const list = from + t + shift;
    // the list behind the last token of a document is that of another document
    const isOwn = list < Math.min(lists, to);
    const end = isOwn ? at + copyList(draft, list, { ids, logprobs, at }) : at;
    const own = { ids: ids.subarray(at, end), logprobs: logprobs.subarray(at, end) };
    orderList(own.ids, own.logprobs);
    if (end > at) {
      const at = () => `position ${from + t} of ${place}`;
      check(own.ids, own.logprobs, { place: at, tail: tail?.[list] });
      if (tails !== undefined) tails[t] = tail?.[list] ?? 1;
    }
    const isLearned = (learned?.[list] ?? 1) !== 0 && (labels?.[from + t + 1] ?? 0) >= 0;
    mask[t] = end > at && isLearned && t + 1 < count ? 1 : 0;
    offsets[t + 1] = at = end;
  }
  const total = offsets[count];
  return {
    tokens: Int32Array.from(draft.tokens.subarray(from, to)),
    mask,
    rows: {
      form: 'lists',
      count,
      width,
      offsets,
      ids: ids.slice(0, total),
      logprobs: logprobs.slice(0, total),
      tail: tails,
    },
  };
}

/** Copies the entries that are there: unmasked, of any probability. Returns their number. */
function copyList(
  { place, ids, values, logNormaliser, entryMask }: Draft,
  list: number,
  out: { ids: Uint32Array; logprobs: Float32Array; at: number },
): number {
  const [from, length] = [ids.offsets[list], ids.offsets[list + 1] - ids.offsets[list]];
  for (const other of [values, entryMask]) {
    const got = other && other.offsets[list + 1] - other.offsets[list];
    if (got === undefined || got === length) continue;
    throw mismatch(`list ${list} of ${place}`, `${length} values, as many as ids`, got);
  }
  const normaliser = logNormaliser?.[list] ?? 0;
  const valuesFrom = values.offsets[list];
  const maskFrom = entryMask?.offsets[list] ?? 0;
  let kept = 0;
  for (let i = 0; i < length; i++) {
    const value = values.values[valuesFrom + i] - normaliser;
    const isThere = (entryMask?.values[maskFrom + i] ?? 1) !== 0;
    // short lists are filled up with −inf, often under ids without meaning
    if (!isThere || value === Number.NEGATIVE_INFINITY) continue;
    const id = ids.values[from + i];
    if (!(Number.isInteger(id) && id >= 0 && id < 2 ** 32)) {
      const message = `capture: list ${list} of ${place}: ${id} is no token id; export it again`;
      throw new LogitcaskError('row-invalid', message, { expected: 'a token id', got: String(id) });
    }
    out.ids[out.at + kept] = id;
    out.logprobs[out.at + kept++] = value;
  }
  return kept;
}

/** A sample in chunks of bounded bytes. */
export function* chunksOf({ rows, ...sample }: ListSample, ordinal: number): Generator<Chunk> {
  const { offsets, ids, logprobs, tail, labelLogprob, count } = rows;
  const entriesMax = chunkBytesMax / 8;
  for (let from = 0, to = 0; from < count; from = to) {
    const first = offsets[from];
    to++;
    while (to < count && offsets[to + 1] - first <= entriesMax) to++;
    yield {
      sample: { ...sample, ordinal },
      position: from,
      rows: {
        ...rows,
        count: to - from,
        offsets: offsets.subarray(from, to + 1).map((offset) => offset - first),
        ids: ids.subarray(first, offsets[to]),
        logprobs: logprobs.subarray(first, offsets[to]),
        tail: tail?.subarray(from, to),
        labelLogprob: labelLogprob?.subarray(from, to),
      },
    };
  }
}
