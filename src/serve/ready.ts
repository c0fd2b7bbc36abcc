/** Samples ready to be sent, kept under a byte limit; what is missing is read and made ready. */
import type { ManifestFile } from '../../schemas/manifest.ts';
import { LogitcaskError } from '../errors.ts';
import { itemBytes } from '../formats/cells.ts';
import { type Column, type ColumnType, copyBits, int32Of } from '../formats/layout.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import { createLru } from '../store/lru.ts';
import type { ViewSpec } from './convert.ts';
import { type Converter, SampleError } from './converter.ts';
import type { ReadySample, StoredSample, View } from './layouts/layout.ts';
import type { QueueLoad } from './queue-load.ts';
import { createTurns } from './turns.ts';

export interface ReadySamples {
  /** In the order of the ordinals. Throws what reading and the view throw; names the sample. */
  get(source: ReadySource, ordinals: readonly number[]): Promise<readonly ReadySample[]>;
  clear(): void;
  readonly load: ReadyLoad;
}

export interface ReadyLoad {
  /** Looked up, those made ready ahead included: kept ready, being made ready by then, read. */
  readonly samples: Readonly<Record<'hit' | 'shared' | 'miss', number>>;
  readonly bytes: number;
  /** Loads that wait for their turn. */
  readonly queue: QueueLoad;
}

export interface ReadySource {
  readonly reader: SnapshotReader;
  readonly view: View;
  /** How a thread makes the view, where samples are decoded for it. */
  readonly spec?: ViewSpec;
}

/** Fewer positions are decoded at once: a thread would cost more than it takes off. */
const threadPositionsMin = 1024;
/** What a sample takes beside its cells. */
const sampleCost = 1024;
/** Smaller cells share one piece of memory. */
const smallBytesMax = 64 * 1024;

export interface ReadyOptions {
  readonly cacheBytesMax: number;
  readonly loadsMax: number;
  readonly converter: Converter;
  /** Hears of every shard in which a damaged sample is found. */
  readonly onDamage: (dataset: string, shard: ManifestFile) => void;
}

export function createReadySamples(options: ReadyOptions): ReadySamples {
  const cache = createLru<ReadySample>(options.cacheBytesMax);
  const loading = new Map<string, Promise<ReadySample>>();
  const turns = createTurns(options.loadsMax);
  const readers = new WeakMap<SnapshotReader, string>();
  let opened = 0;
  const looked = { hit: 0, shared: 0, miss: 0 };
  const keyOf = ({ reader, view }: ReadySource) => {
    const known = readers.get(reader) ?? String(opened++);
    readers.set(reader, known);
    return `${known} ${view.key} `;
  };
  const load = (source: ReadySource, prefix: string, ordinals: readonly number[]) => {
    const wanted = [...new Set(ordinals)].sort((a, b) => a - b);
    const all = turns.take(() => makeReady(source, wanted, options));
    return wanted.map((ordinal, i) => {
      const key = prefix + ordinal;
      const one = all.then((samples) => {
        const sample = samples[i];
        cache.set(key, sample, sampleCost + bytesOfCells(sample));
        return sample;
      });
      loading.set(key, one);
      one.catch(() => {}).finally(() => loading.delete(key));
      return one;
    });
  };
  return {
    async get(source, ordinals) {
      const prefix = keyOf(source);
      const held = ordinals.map((ordinal) => cache.get(prefix + ordinal));
      const missing = ordinals.filter((_, i) => held[i] === undefined);
      looked.hit += ordinals.length - missing.length;
      if (missing.length === 0) return held as ReadySample[];
      const absent = missing.filter((ordinal) => !loading.has(prefix + ordinal));
      looked.miss += absent.length;
      looked.shared += missing.length - absent.length;
      if (absent.length > 0) load(source, prefix, absent);
      const coming = ordinals.map((ordinal, i) => held[i] ?? loading.get(prefix + ordinal));
      return Promise.all(coming as (ReadySample | Promise<ReadySample>)[]);
    },
    clear: () => cache.clear(),
    get load() {
      return { samples: looked, bytes: cache.cost, queue: turns.load };
    },
  };
}

function bytesOfCells({ cells }: ReadySample): number {
  return cells.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** Ordinals ascend, so that neighbours are read at once. Names the sample that is damaged. */
async function makeReady(
  source: ReadySource,
  ordinals: readonly number[],
  { converter, onDamage }: ReadyOptions,
): Promise<ReadySample[]> {
  const { reader, view, spec } = source;
  const stored: StoredSample[] = [];
  for (const columns of await reader.parts(ordinals, view.reads)) {
    const { rows } = columns[view.reads[0]];
    for (let row = 0; row < rows; row++) stored.push(storedSample(reader.columns, columns, row));
  }
  const positions = stored.reduce((sum, sample) => sum + sample.positions, 0);
  const ready: ReadySample[] = [];
  try {
    if (spec !== undefined && positions >= threadPositionsMin) {
      const cellsOf = ({ cell }: StoredSample) =>
        Object.fromEntries(view.reads.map((name) => [name, cell(name)]));
      const samples = stored.map((one) => ({ positions: one.positions, cells: cellsOf(one) }));
      return (await converter.run({ spec, samples })).map(owned);
    }
    for (const sample of stored) ready.push(owned(view.ready(sample)));
    return ready;
  } catch (error) {
    if (!(error instanceof LogitcaskError) || error.code !== 'frame-damaged') throw error;
    const ordinal = ordinals[error instanceof SampleError ? error.sample : ready.length];
    const shard = shardOf(reader, ordinal);
    if (shard !== undefined) onDamage(reader.manifest.dataset, shard);
    const { expected, got } = error;
    const message = `sample ${ordinal} in ${shard?.name}: ${error.message}`;
    throw new LogitcaskError(error.code, message, { expected, got });
  }
}

function storedSample(
  types: Readonly<Record<string, ColumnType>>,
  columns: Readonly<Record<string, Column>>,
  row: number,
): StoredSample {
  const [from, to] = int32Of(columns.mask.buffers[0]).subarray(row, row + 2);
  return {
    positions: to - from,
    cell: (name) => cellOf(types[name], columns[name], row),
  };
}

function cellOf(type: ColumnType, { buffers }: Column, row: number): Uint8Array {
  if (type.type === 'fixed_binary')
    return buffers[0].subarray(row * type.size).subarray(0, type.size);
  const [from, to] = int32Of(buffers[0]).subarray(row, row + 2);
  if (type.type === 'list' && type.item.type === 'bool') {
    const bits = new Uint8Array((to - from + 7) >> 3);
    copyBits({ bits, at: 0 }, { bits: buffers[1], at: from }, to - from);
    return bits;
  }
  const width = itemBytes(type);
  return buffers[1].subarray(from * width, to * width);
}

/** The sample in memory of its own, so that what is kept costs what it is counted for. */
function owned(sample: ReadySample): ReadySample {
  const { cells } = sample;
  const small = cells.reduce((sum, cell) => sum + (isSmall(cell) ? paddedBytes(cell) : 0), 0);
  const shared = new Uint8Array(small);
  let at = 0;
  const own = cells.map((cell) => {
    if (!isSmall(cell)) {
      const alone = cell.buffer.byteLength <= 1.25 * cell.byteLength;
      return alone ? cell : new Uint8Array(cell);
    }
    const copy = shared.subarray(at, at + cell.byteLength);
    copy.set(cell);
    at += paddedBytes(cell);
    return copy;
  });
  return { ...sample, cells: own };
}

const isSmall = ({ byteLength }: Uint8Array) => byteLength < smallBytesMax;
const paddedBytes = ({ byteLength }: Uint8Array) => (byteLength + 7) & ~7;

/** The shard that holds a sample. */
function shardOf({ manifest }: SnapshotReader, ordinal: number): ManifestFile | undefined {
  let first = 0;
  return manifest.files.find(({ role, samples }) => {
    if (role === 'shard') first += samples;
    return role === 'shard' && ordinal < first;
  });
}
