/** What a teacher worker of images pushes: two heads, boxes and seeds, as bodies of shards. */
import { createHash } from 'node:crypto';
import type { Columns, ColumnTypes } from '../../src/formats/arrow.ts';
import { encodeStream } from '../../src/formats/arrow.ts';
import {
  bytesOf,
  type Column,
  concatColumns,
  list,
  listCell,
  packBits,
  primitive,
} from '../../src/formats/layout.ts';

export const pipeline = 'a'.repeat(64);

export function imageUpload(more: object = {}) {
  return {
    kind: 'vision',
    teacher: { name: 'detector', revision: '1' },
    heads: [
      { name: 'teacher', size: 6, classes: ['a', 'b', 'c', 'd', 'e', 'none'] },
      { name: 'objects', size: 3, normalisation: 'sigmoid' },
    ],
    input_fields: [
      { name: 'hard_label', type: 'int32', items: 1 },
      { name: 'geometry', type: 'float32', items: 4 },
      { name: 'augmentation_seed', type: 'uint64', items: 1 },
      { name: 'augmentation_dx', type: 'int32', items: 1 },
    ],
    augmentation_pipeline: pipeline,
    sparsifier: { type: 'top-k', k: 4 },
    ...more,
  };
}

export interface PushedImage {
  readonly ref: string;
  readonly mask: Uint8Array;
  readonly hard_label: Int32Array;
  readonly geometry: Float32Array;
  readonly seed: BigUint64Array;
  readonly dx: Int32Array;
  /** By head: entries of each position, highest first. */
  readonly entries: Readonly<Record<'teacher' | 'objects', readonly (readonly Entry[])[]>>;
  readonly rest: Float32Array;
}
/** Id and log-prob. */
export type Entry = readonly [number, number];

export function pushedImage(index: number, positions = 3): PushedImage {
  const at = (t: number) => index * 100 + t;
  const each = <T>(make: (t: number) => T) => Array.from({ length: positions }, (_, t) => make(t));
  const sha256 = createHash('sha256').update(String(index)).digest('hex');
  const lists = each((t): Entry[] => [
    [at(t) % 6, Math.log(0.5)],
    [(at(t) + 1) % 6, Math.log(0.3)],
    [(at(t) + 4) % 6, Math.log(0.1)],
  ]);
  return {
    ref: `{"sha256":"${sha256}","uri":"s3://b/${index}.jpg"}`,
    mask: Uint8Array.from(each((t) => Number(t !== 1))),
    hard_label: Int32Array.from(each((t) => (t === 1 ? -100 : at(t) % 6))),
    geometry: Float32Array.from(each((t) => [t, t, t + 1, index]).flat()),
    seed: BigUint64Array.from(each((t) => 2n ** 63n + BigInt(at(t)))),
    dx: Int32Array.from(each((t) => t - 1)),
    entries: {
      teacher: lists,
      objects: each((t) =>
        t === 0
          ? [[2, -0.25]]
          : [
              [0, -1],
              [1, -2],
            ],
      ),
    },
    rest: Float32Array.from(each(() => 0.1)),
  };
}

const types: ColumnTypes = {
  input_ref: { type: 'utf8' },
  mask: list({ type: 'bool' }),
  meta: { type: 'utf8' },
  hard_label: list(primitive('int32')),
  geometry: list(primitive('float32')),
  augmentation_seed: list(primitive('uint64')),
  augmentation_dx: list(primitive('int32')),
  teacher_counts: list(primitive('uint32')),
  teacher_ids: list(primitive('uint32')),
  teacher_logprobs: list(primitive('float32')),
  teacher_rest: list(primitive('float32')),
  objects_counts: list(primitive('uint32')),
  objects_ids: list(primitive('uint32')),
  objects_logprobs: list(primitive('float32')),
};

/** A shard; without the column that is to be missing. */
export function imageBody(images: readonly PushedImage[], missing?: string): Buffer {
  const rows = images.map(columnsOf);
  const kept = Object.entries(types).filter(([name]) => name !== missing);
  const joined = kept.map(([name, type]) => [
    name,
    concatColumns(
      type,
      rows.map((r) => r[name]),
    ),
  ]);
  return encodeStream(Object.fromEntries(kept), [Object.fromEntries(joined) as Columns], {});
}

function columnsOf(image: PushedImage): Record<string, Column> {
  const { ref, mask, hard_label, geometry, seed, dx, entries, rest } = image;
  const text = Buffer.from(ref);
  const cell = (array: ArrayBufferView & { length: number }) =>
    listCell(bytesOf(array), array.length);
  return {
    input_ref: listCell(text, text.length),
    mask: listCell(packBits(mask), mask.length),
    meta: listCell(Buffer.from('{}'), 2),
    hard_label: cell(hard_label),
    geometry: cell(geometry),
    augmentation_seed: cell(seed),
    augmentation_dx: cell(dx),
    teacher_rest: cell(rest),
    ...Object.fromEntries(
      Object.entries(entries).flatMap(([name, lists]) => [
        [`${name}_counts`, cell(Uint32Array.from(lists, (own) => own.length))],
        [`${name}_ids`, cell(Uint32Array.from(lists.flat(), ([id]) => id))],
        [`${name}_logprobs`, cell(Float32Array.from(lists.flat(), ([, logprob]) => logprob))],
      ]),
    ),
  };
}
