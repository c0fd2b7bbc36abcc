/** Scored sequences as a batch like any other: layout `plain`, codec `raw`; or as JSON. */
import type { BatchTargetSet } from '../../schemas/batch.ts';
import { maskOf } from '../capture/source.ts';
import type { ListRows } from '../distribution/rows.ts';
import { batchPieces, schemaTemplate, streamEnd } from '../formats/arrow-wire.ts';
import { canonicalJson } from '../formats/canonical.ts';
import { toFloat16 } from '../formats/float16.ts';
import { bytesOf, packBits } from '../formats/layout.ts';
import { labelSpaceDigest, labelSpaceOf, textSampleId } from '../shard/sample-id.ts';
import { createLru } from '../store/lru.ts';
import { wireColumn, wireType } from './assemble.ts';
import type { CachedTeacher, ScoreAnswer } from './cached-teacher.ts';
import { textColumns } from './layouts/inputs.ts';
import type { CellColumn, ReadySample, View } from './layouts/layout.ts';
import type { Wanted } from './score-request.ts';

/** Answers by sequence, then by teacher. */
export interface Scores {
  readonly wanted: readonly Wanted[];
  readonly teachers: readonly CachedTeacher[];
  readonly answers: readonly (readonly ScoreAnswer[])[];
}

const uint32 = { type: 'uint32' } as const;
const float32 = { type: 'float32' } as const;

function columnsOf({ name }: CachedTeacher): CellColumn[] {
  const counts = `${name}_counts`;
  return [
    { name: counts, per: 'position', type: uint32 },
    { name: `${name}_ids`, per: 'entry', counts, type: uint32 },
    { name: `${name}_logprobs`, per: 'entry', counts, type: float32 },
    { name: `${name}_rest`, per: 'position', type: float32 },
    { name: `${name}_label_logprob`, per: 'position', type: { type: 'float16' } },
  ];
}

const heads = createLru<ReturnType<typeof schemaTemplate>>(16);

/** An Arrow stream of one record batch, with the checks of every batch. */
export function scoreStream(scores: Scores): { pieces: Uint8Array[]; bytes: number } {
  const { wanted, teachers } = scores;
  const columns = [...textColumns, ...teachers.flatMap(columnsOf)];
  const view = { columns, dense: false } as const satisfies Pick<View, 'columns' | 'dense'>;
  const rows = { samples: readyOf(scores), length: 0 };
  const types = Object.fromEntries(
    columns.map((column) => [column.name, wireType(view, column, 0)]),
  );
  const wire = Object.fromEntries(
    columns.map((column, i) => [column.name, wireColumn(view, i, rows)]),
  );
  const metadata = metadataOf(teachers);
  const key = JSON.stringify(metadata);
  const head = heads.get(key) ?? schemaTemplate(types, metadata, ['logitcask.rows']);
  heads.set(key, head, 1);
  const pieces = [
    head([String(wanted.length)]),
    ...batchPieces(types, wire, { rows: wanted.length }),
    streamEnd,
  ];
  return { pieces, bytes: pieces.reduce((sum, { byteLength }) => sum + byteLength, 0) };
}

function metadataOf(teachers: readonly CachedTeacher[]): Record<string, string> {
  const sets: BatchTargetSet[] = teachers.map(({ name, identity }) => ({
    name,
    kind: 'scaled',
    codec: 'raw',
    temperature: 1,
    temperature_exact: identity.reports === 'whole',
    log_z: [],
    step: null,
    tau: null,
  }));
  return {
    'logitcask.version': '1',
    'logitcask.batches': '1',
    'logitcask.layout': 'plain',
    'logitcask.alignment': 'predicts-next',
    'logitcask.label_space': canonicalJson(labelSpaceOf(teachers[0].identity)),
    'logitcask.target_sets': canonicalJson(sets),
  };
}

function readyOf({ wanted, teachers, answers }: Scores): ReadySample[] {
  const digest = labelSpaceDigest(labelSpaceOf(teachers[0].identity));
  return wanted.map(({ tokens, note }, i) => {
    const mask = maskOf(tokens.length, note.learnedFrom);
    return {
      positions: tokens.length,
      cells: [
        textSampleId(digest, { tokens, mask }),
        Buffer.from(JSON.stringify(note.meta ?? {})),
        bytesOf(tokens),
        packBits(mask),
        ...answers[i].flatMap(({ rows }) => targetCells(rows)),
      ],
    };
  });
}

function targetCells(rows: ScoreAnswer['rows']): Uint8Array[] {
  const { ids, logprobs, labelLogprob } = rows;
  const cells = [countsOf(rows), ids, logprobs, restOf(rows), toFloat16(labelLogprob)];
  return cells.map(bytesOf);
}

function countsOf({ offsets, count }: ListRows): Uint32Array {
  return Uint32Array.from({ length: count }, (_, t) => offsets[t + 1] - offsets[t]);
}

/** The mass that no list holds: 1 − its sum where the teacher does not say. */
export function restOf({ offsets, logprobs, tail, count }: ListRows): Float32Array {
  if (tail !== undefined) return tail;
  const rest = new Float32Array(count);
  for (let t = 0; t < count; t++) {
    let sum = 0;
    for (let i = offsets[t]; i < offsets[t + 1]; i++) sum += Math.exp(logprobs[i]);
    rest[t] = Math.min(1, Math.max(0, 1 - sum));
  }
  return rest;
}

/** The first `k` entries of each list. */
export function cutLists(rows: ScoreAnswer['rows'], k: number): ScoreAnswer['rows'] {
  const { count, offsets: from, tail } = rows;
  const offsets = new Uint32Array(count + 1);
  for (let t = 0; t < count; t++) offsets[t + 1] = offsets[t] + Math.min(k, from[t + 1] - from[t]);
  const ids = new Uint32Array(offsets[count]);
  const logprobs = new Float32Array(offsets[count]);
  const rest = tail === undefined ? undefined : Float32Array.from(tail);
  for (let t = 0; t < count; t++) {
    const kept = offsets[t + 1] - offsets[t];
    ids.set(rows.ids.subarray(from[t], from[t] + kept), offsets[t]);
    logprobs.set(rows.logprobs.subarray(from[t], from[t] + kept), offsets[t]);
    if (rest === undefined) continue;
    for (let i = from[t] + kept; i < from[t + 1]; i++) rest[t] += Math.exp(rows.logprobs[i]);
  }
  return { ...rows, offsets, ids, logprobs, tail: rest };
}

/** For people and languages without Arrow. */
export function scoreJson({ wanted, teachers, answers }: Scores): object {
  const orNull = (value: number) => (Number.isNaN(value) ? null : value);
  return {
    rows: wanted.map(({ tokens }, i) => ({
      tokens: [...tokens],
      targets: Object.fromEntries(
        teachers.map(({ name }, j) => {
          const { rows, origin } = answers[i][j];
          const { ids, logprobs, labelLogprob } = rows;
          return [
            name,
            {
              origin,
              counts: [...countsOf(rows)],
              ids: [...ids],
              logprobs: [...logprobs],
              rest: [...restOf(rows)],
              label_logprob: [...labelLogprob].map(orNull),
            },
          ];
        }),
      ),
    })),
  };
}
