/** The shards of a build in turn: each ends with the sample that takes it to its size. */
import type { BuildSettings } from '../../schemas/build-config.ts';
import type { LabelSpace, Manifest, TargetSet } from '../../schemas/manifest.ts';
import { shardSchema } from '../shard/columns.ts';
import { decodeIndexHeader, type IndexHeader, indexHeaderBytes } from '../shard/index-file.ts';
import { filePath, indexName, partPath, shardName } from '../shard/names.ts';
import {
  type ReferencePicker,
  type ReferencePosition,
  writeReference,
} from '../shard/reference.ts';
import { openShardWriter, type ShardRow, type ShardWriter } from '../shard/writer.ts';
import type { BuildPlace } from './resume.ts';

export interface Shards {
  /** Headers of the whole shards. */
  readonly complete: readonly IndexHeader[];
  /** Bytes of whole shards and of the one under way. */
  readonly bytes: number;
  /** Candidates of the last shard, once all are finished; none where they lie in its part alone. */
  readonly candidates: readonly ReferencePosition[] | undefined;
  /** Adds a row; true where it ended a shard. `nextInput` is the ordinal of the input behind it. */
  add(row: ShardRow, nextInput: number): Promise<boolean>;
  /** Ends the shard under way. */
  finish(): Promise<void>;
  abort(): Promise<void>;
}

/** What a manifest says of the inputs. */
export type SnapshotInputs = Pick<
  Manifest,
  'kind' | 'features' | 'augmentation_pipeline' | 'input_fields'
>;

export interface ShardsOptions extends BuildPlace {
  readonly config: Pick<BuildSettings, 'shard'>;
  readonly sets: readonly TargetSet[];
  readonly picker: ReferencePicker;
  readonly complete: readonly IndexHeader[];
  readonly labelSpace: LabelSpace;
  readonly inputs: SnapshotInputs;
}

export function createShards(options: ShardsOptions): Shards {
  const { store, dataset, build, format, config, picker } = options;
  const complete = [...options.complete];
  const { types, metadata } = shardSchema({
    ...options.inputs,
    target_sets: [...options.sets],
    label_space: options.labelSpace,
  });
  let writer: ShardWriter | undefined;
  let next = 0;
  let last: readonly ReferencePosition[] | undefined;

  const open = () =>
    openShardWriter({
      store,
      shard: filePath(dataset, shardName(build, complete.length, format)),
      index: filePath(dataset, indexName(build, complete.length)),
      types,
      metadata,
      batchBytesMax: config.shard.batch_bytes_max,
    });

  const close = async () => {
    if (writer === undefined) return undefined;
    const shard = complete.length;
    const candidates = picker.take();
    const path = partPath(dataset, build, shard);
    await writeReference(store, path, once(candidates), { sets: options.sets.length });
    await writer.finish(next);
    writer = undefined;
    const index = filePath(dataset, indexName(build, shard));
    const size = (await store.size(index)) ?? 0;
    complete.push(decodeIndexHeader(await store.read(index, 0, indexHeaderBytes), size, index));
    return candidates;
  };

  return {
    complete,
    get bytes() {
      return complete.reduce((sum, { shardBytes }) => sum + shardBytes, writer?.bytes ?? 0);
    },
    get candidates() {
      return last;
    },
    async add(row, nextInput) {
      writer ??= await open();
      await writer.add(row);
      next = nextInput;
      if (!writer.isFull(config.shard.bytes_max)) return false;
      await close();
      return true;
    },
    async finish() {
      last = await close();
    },
    async abort() {
      await writer?.abort();
      writer = undefined;
    },
  };
}

async function* once<T>(value: T): AsyncGenerator<T> {
  yield value;
}
