/**
 * The reference: a seeded sample of positions with their exact lists, so that fidelity can be
 * audited
 * later. A bottom-k sketch over hashed positions: streaming, resumable, independent of shard sizes.
 */
import { LogitcaskError } from '../errors.ts';
import { arrowFileWriter, type Columns, decodeStream } from '../formats/arrow.ts';
import {
  bytesOf,
  type Column,
  type ColumnType,
  concatColumns,
  int32Of,
  list,
  listCell,
  primitive,
} from '../formats/layout.ts';
import type { Store } from '../store/store.ts';

/** One position's exact list, rank order. */
export interface ReferencePosition {
  readonly priority: number;
  /** Number of the target set, 0 by default. */
  readonly head?: number;
  /** Ordinal of the sample, and the position in it. */
  readonly ordinal: number;
  readonly position: number;
  readonly label: number;
  readonly labelLogprob: number;
  /** Mass outside the list. */
  readonly tail: number;
  readonly ids: Uint32Array;
  readonly logprobs: Float32Array;
}

const types: Readonly<Record<string, ColumnType>> = {
  priority: primitive('uint64'),
  ordinal: primitive('uint64'),
  position: primitive('uint32'),
  label: primitive('int32'),
  label_logprob: primitive('float32'),
  tail: primitive('float32'),
  ids: list(primitive('uint32')),
  logprobs: list(primitive('float32')),
};

/** Several target sets: whose list it is. */
const headTypes = { ...types, head: primitive('uint16') };

/** Rows of a record batch: 2 MiB at 1,024 entries. */
const batchRows = 256;

export interface ReferencePicker {
  /** Defined where the position belongs to the sketch so far; its list then goes to `add`. */
  priority(sampleId: Uint8Array, position: number): number | undefined;
  add(position: ReferencePosition): void;
  /** Candidates since the last call that still are some, in order of arrival. */
  take(): ReferencePosition[];
  /** Takes in a candidate of an earlier run. */
  restore(priority: number): void;
  /**
   * All samples whose positions will be asked for, where they are known before: from then on only
   * those are wanted that the sample holds in the end. What was restored before counts, too.
   */
  foresee(samples: Iterable<{ readonly sampleId: Uint8Array; readonly mask: Uint8Array }>): void;
  /** The sample: of all candidates, asked in order of arrival, those that belong to it. */
  sample(): (priority: number) => boolean;
}

/**
 * `total`: positions of the source, where it knows them, and `learned`, how many of them are to be
 * learned; half of them or more otherwise.
 */
export function createReferencePicker(options: {
  positions: number;
  seed: number;
  total?: number;
  learned?: number;
}): ReferencePicker {
  const { positions, seed, total = 0, learned = total / 2 } = options;
  let kept: number[] = [];
  // so few have a smaller hash that more need not be looked at: an exact list costs several rows
  const enough = 1.25 * positions + 6 * Math.sqrt(positions); // six σ more, and repeated samples
  const few = 2 ** 53 * Math.min(1, enough / learned);
  let bound = positions === 0 ? -1 : few;
  let fresh: ReferencePosition[] = [];
  const restore = (priority: number) => {
    kept.push(priority);
    if (kept.length >= 2 * positions) trim();
  };
  const trim = () => {
    kept = kept.sort((a, b) => a - b).slice(0, positions);
    if (kept.length < positions || positions === 0) return;
    bound = Math.min(bound, kept[positions - 1]);
    fresh = fresh.filter(({ priority }) => priority <= bound);
  };
  const priority = (sampleId: Uint8Array, position: number) => {
    const value = hash53(sampleId, position, seed);
    return value < bound ? value : undefined;
  };
  return {
    priority,
    add(position) {
      fresh.push(position);
      if (!position.head) restore(position.priority); // the other sets come with it
    },
    take() {
      trim();
      const taken = fresh;
      fresh = [];
      return taken;
    },
    restore,
    foresee(samples) {
      let least = kept.slice();
      const narrow = () => {
        least = least.sort((a, b) => a - b).slice(0, positions);
        if (least.length === positions) bound = Math.min(bound, least[positions - 1] + 1);
      };
      if (positions === 0) return;
      for (const { sampleId, mask } of samples) {
        for (let position = 0; position < mask.length; position++) {
          const value = mask[position] === 0 ? undefined : priority(sampleId, position);
          if (value !== undefined) least.push(value);
        }
        if (least.length >= 2 * positions) narrow();
      }
      narrow();
    },
    sample() {
      trim();
      // repeated samples have equal priorities: the first ones count
      let ties = kept.filter((priority) => priority === bound).length;
      return (priority) => priority < bound || (priority === bound && ties-- > 0);
    },
  };
}

function mix(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** 53 well-mixed bits of a position; the sample id is a SHA-256 already. */
function hash53(sampleId: Uint8Array, position: number, seed: number): number {
  const view = new DataView(sampleId.buffer, sampleId.byteOffset, sampleId.byteLength);
  const a = mix(view.getUint32(0) ^ mix(position ^ seed));
  const b = mix(view.getUint32(4) ^ mix(a ^ position));
  return a * 2 ** 21 + (b >>> 11);
}

function columnsOf(rows: readonly ReferencePosition[]): Columns {
  const numbers = (array: ArrayBufferView): Column => ({
    rows: rows.length,
    buffers: [bytesOf(array)],
  });
  const lists = (name: 'ids' | 'logprobs') =>
    concatColumns(
      types[name],
      rows.map((row) => listCell(bytesOf(row[name]), row[name].length)),
    );
  return {
    priority: numbers(BigUint64Array.from(rows, (row) => BigInt(row.priority))),
    ordinal: numbers(BigUint64Array.from(rows, (row) => BigInt(row.ordinal))),
    position: numbers(Uint32Array.from(rows, (row) => row.position)),
    label: numbers(Int32Array.from(rows, (row) => row.label)),
    label_logprob: numbers(Float32Array.from(rows, (row) => row.labelLogprob)),
    tail: numbers(Float32Array.from(rows, (row) => row.tail)),
    head: numbers(Uint16Array.from(rows, (row) => row.head ?? 0)),
    ids: lists('ids'),
    logprobs: lists('logprobs'),
  };
}

/** Writes rows as one Arrow file; batches of bounded size. */
export async function writeReference(
  store: Store,
  path: string,
  parts: AsyncIterable<readonly ReferencePosition[]>,
  { sets = 1 }: { sets?: number } = {},
): Promise<number> {
  const arrow = arrowFileWriter(sets > 1 ? headTypes : types, {
    'logitcask.version': '1',
    'logitcask.role': 'reference',
  });
  const file = await store.create(path);
  let written = 0;
  let pending: ReferencePosition[] = [];
  const flush = async (rows: readonly ReferencePosition[]) => {
    if (rows.length === 0) return;
    await file.append(Buffer.concat(arrow.batch(columnsOf(rows)).chunks));
    written += rows.length;
  };
  try {
    await file.append(Buffer.concat(arrow.start()));
    for await (const rows of parts) {
      for (const row of rows) pending.push(row); // there may be more than a call takes
      for (; pending.length >= batchRows; pending = pending.slice(batchRows)) {
        await flush(pending.slice(0, batchRows));
      }
    }
    await flush(pending);
    await file.append(Buffer.concat(arrow.finish()));
    await file.commit();
  } catch (error) {
    await file.abort();
    throw error;
  }
  return written;
}

/**
 * Reads a reference or part file, a record batch at a time. Throws `shard-damaged` where it is not
 * whole.
 */
export async function* readReference(
  store: Store,
  path: string,
): AsyncGenerator<ReferencePosition[]> {
  const bytes = await store.readAll(path);
  const damaged = (cause: unknown) => {
    const message = `reference: ${path} is damaged; restore it, or build the data set again`;
    return new LogitcaskError('shard-damaged', message, { cause });
  };
  let batches: readonly Columns[];
  try {
    batches = decodeStream(bytes).batches;
  } catch (cause) {
    throw damaged(cause);
  }
  for (const columns of batches) {
    let rows: ReferencePosition[];
    try {
      rows = rowsOf(columns);
    } catch (cause) {
      throw damaged(cause);
    }
    yield rows;
  }
}

/** Each list has memory of its own: a row that is kept holds no batch. */
function rowsOf(columns: Columns): ReferencePosition[] {
  const copy = (name: string) => new Uint8Array(columns[name].buffers[0]).buffer;
  const priorities = new BigUint64Array(copy('priority'));
  const ordinals = new BigUint64Array(copy('ordinal'));
  const positions = new Uint32Array(copy('position'));
  const labels = new Int32Array(copy('label'));
  const labelLogprobs = new Float32Array(copy('label_logprob'));
  const tails = new Float32Array(copy('tail'));
  const heads = columns.head === undefined ? undefined : new Uint16Array(copy('head'));
  const [idsAt, logprobsAt] = [new Int32Array(copy('ids')), new Int32Array(copy('logprobs'))];
  const ids = int32Of(columns.ids.buffers[1]);
  const logprobs = int32Of(columns.logprobs.buffers[1]);
  const wordsOf = (words: Int32Array, at: Int32Array, row: number) =>
    words.slice(at[row], at[row + 1]).buffer;
  return Array.from(priorities, (priority, row) => ({
    priority: Number(priority),
    ...(heads && { head: heads[row] }),
    ordinal: Number(ordinals[row]),
    position: positions[row],
    label: labels[row],
    labelLogprob: labelLogprobs[row],
    tail: tails[row],
    ids: new Uint32Array(wordsOf(ids, idsAt, row)),
    logprobs: new Float32Array(wordsOf(logprobs, logprobsAt, row)),
  }));
}
