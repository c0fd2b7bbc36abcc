/** The sequences of a request, from JSON or an Arrow stream. */
import { type ScoreBody, scoreBody } from '../../schemas/score.ts';
import type { Columns } from '../formats/arrow.ts';
import { int32Of } from '../formats/layout.ts';
import type { ScoreNote } from './cached-teacher.ts';
import { arrowBody, invalidBody, metaOf } from './request-body.ts';

export interface Wanted {
  readonly tokens: Int32Array;
  readonly note: ScoreNote;
}

/** Throws `request-invalid`. */
export function wantedOf(body: unknown): Wanted[] {
  if (Buffer.isBuffer(body)) return wantedOfArrow(body);
  const parsed = scoreBody.safeParse(body);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0];
    throw invalidBody(`\`body.${path.join('.')}\` is wrong: ${message}`, message, undefined);
  }
  const { sequences, prompt_lengths: lengths, meta } = parsed.data;
  checkCounts(parsed.data);
  return sequences.map((ids, i) => wanted(Int32Array.from(ids), lengths?.[i], meta?.[i]));
}

function checkCounts({ sequences, prompt_lengths, meta }: ScoreBody): void {
  for (const [name, values] of Object.entries({ prompt_lengths, meta })) {
    if (values === undefined || values.length === sequences.length) continue;
    throw invalidBody(
      `${values.length} ${name} for ${sequences.length} sequences`,
      sequences.length,
      values.length,
    );
  }
}

function wanted(tokens: Int32Array, promptLength = 1, meta?: unknown): Wanted {
  if (promptLength < 1 || promptLength > tokens.length) {
    const what = `a prompt of ${promptLength} tokens in a sequence of ${tokens.length}`;
    throw invalidBody(what, `1 to ${tokens.length}`, promptLength);
  }
  const kept = meta === undefined ? undefined : metaOf(meta, '`meta`');
  return { tokens, note: { learnedFrom: promptLength - 1, meta: kept } };
}

function wantedOfArrow(bytes: Buffer): Wanted[] {
  const { types, batches } = arrowBody(bytes);
  const expected = 'a column `tokens` of list<int32>';
  const { tokens: type, prompt_length: length, meta } = types;
  if (type?.type !== 'list' || type.item.type !== 'int32') {
    throw invalidBody('the stream holds no tokens', expected, Object.keys(types));
  }
  if (length !== undefined && length.type !== 'int32')
    throw invalidBody('`prompt_length` has another type', 'int32', length.type);
  if (meta !== undefined && meta.type !== 'utf8')
    throw invalidBody('`meta` has another type', 'utf8', meta.type);
  const all = batches.flatMap(wantedOfBatch);
  if (all.length > 0) return all;
  throw invalidBody('the stream holds no rows', 'a row or more', 0);
}

function wantedOfBatch({ tokens, prompt_length, meta }: Columns): Wanted[] {
  const offsets = int32Of(tokens.buffers[0]);
  const ids = int32Of(tokens.buffers[1]);
  const lengths = prompt_length && int32Of(prompt_length.buffers[0]);
  const ends = meta && int32Of(meta.buffers[0]);
  return Array.from({ length: tokens.rows }, (_, row) => {
    const text = ends && Buffer.from(meta.buffers[1].subarray(ends[row], ends[row + 1])).toString();
    return wanted(ids.slice(offsets[row], offsets[row + 1]), lengths?.[row], text);
  });
}
