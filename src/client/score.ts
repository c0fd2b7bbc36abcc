/** A request for scores as an Arrow stream, and the proof that a batch answers it. */
import { LogitcaskError } from '../errors.ts';
import { encodeStream } from '../formats/arrow.ts';
import {
  bytesOf,
  type Column,
  type ColumnType,
  int32Of,
  list,
  primitive,
} from '../formats/layout.ts';
import type { Batch } from './batch.ts';

export interface ScoreRequest {
  /** Token ids of each sequence. */
  readonly sequences: readonly ArrayLike<number>[];
  /** Tokens of each prompt: what follows is learned. Whole sequences are, by default. */
  readonly promptLengths?: ArrayLike<number>;
  /** Kept beside each sequence that is scored for the first time. */
  readonly meta?: readonly Readonly<Record<string, unknown>>[];
  /** Entries a position; those of the cache by default, and at most. */
  readonly topK?: number;
  /** Teachers to ask, by target set; all by default. */
  readonly targetSets?: readonly string[];
}

/** Throws `request-invalid`. */
export function scoreRequestStream({ sequences, promptLengths, meta }: ScoreRequest): Buffer {
  const rows = sequences.length;
  const types: Record<string, ColumnType> = { tokens: list(primitive('int32')) };
  const columns: Record<string, Column> = {
    tokens: joined(sequences.map((ids) => Int32Array.from(ids))),
  };
  for (const [name, values] of Object.entries({ promptLengths, meta })) {
    if (values === undefined || values.length === rows) continue;
    const message = `client: ${values.length} ${name} for ${rows} sequences; they are one each`;
    const details = { expected: rows, got: values.length };
    throw new LogitcaskError('request-invalid', message, details);
  }
  if (promptLengths !== undefined) {
    types.prompt_length = primitive('int32');
    columns.prompt_length = { rows, buffers: [bytesOf(Int32Array.from(promptLengths))] };
  }
  if (meta !== undefined) {
    types.meta = { type: 'utf8' };
    columns.meta = joined(meta.map((one) => Buffer.from(JSON.stringify(one))));
  }
  return encodeStream(types, [columns], {});
}

function joined(parts: readonly (Int32Array | Buffer)[]): Column {
  const offsets = new Int32Array(parts.length + 1);
  for (const [i, { length }] of parts.entries()) offsets[i + 1] = offsets[i] + length;
  return { rows: parts.length, buffers: [bytesOf(offsets), Buffer.concat(parts.map(bytesOf))] };
}

/** Sample ids prove that a batch is whole; this, that its rows are those asked for. */
export function checkAnswers({ columns, rows }: Batch, { sequences }: ScoreRequest): void {
  const offsets = int32Of(columns.tokens.buffers[0]);
  const ids = int32Of(columns.tokens.buffers[1]);
  const isSame = (tokens: ArrayLike<number>, row: number) =>
    tokens.length === offsets[row + 1] - offsets[row] &&
    ids.subarray(offsets[row], offsets[row + 1]).every((id, t) => id === tokens[t]);
  if (rows === sequences.length && sequences.every(isSame)) return;
  const message = 'client: the reply holds other sequences than were asked for';
  throw new LogitcaskError('reply-invalid', message, { expected: sequences.length, got: rows });
}
