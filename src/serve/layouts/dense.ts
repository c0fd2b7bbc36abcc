/** Layout `dense`: padded arrays [rows, L, k] in rank order, ready to be a tensor. */
import type { TargetSet } from '../../../schemas/manifest.ts';
import { openCodec } from '../../encode/table.ts';
import { LogitcaskError } from '../../errors.ts';
import { cellsOf, itemBytes, lengthsOf } from '../../formats/cells.ts';
import { fromFloat16, toFloat16 } from '../../formats/float16.ts';
import {
  bytesOf,
  type Column,
  type ColumnType,
  packBits,
  primitive,
  unpackBits,
} from '../../formats/layout.ts';
import { fillRow, type Temperature } from './dense-row.ts';
import type { Layout, LayoutInput } from './layout.ts';
import { locate } from './locate.ts';
import { ranked } from './ranked.ts';

const denseBytesMax = 1024 * 1024 * 1024;

export const dense: Layout = {
  name: 'dense',
  setsMax: 1,
  accepts: () => true,
  build(input) {
    const [set] = input.sets;
    const lengths = lengthsOf(input.stored.tokens);
    const shape = shapeOf(input, set, lengths);
    const temperature = temperatureOf(input, set);
    const { rows } = input;
    const { positions: L, k } = shape;
    const out = {
      ids: new Int32Array(rows * L * k),
      logprobs: new Float32Array(rows * L * k).fill(Number.NEGATIVE_INFINITY),
      rest: new Float32Array(rows * L).fill(1),
    };
    const { label_space: labelSpace } = input.manifest;
    const cells = Object.entries(openCodec(set, labelSpace).columns).map(([suffix, type]) => {
      return cellsOf(input.stored[`${set.name}_${suffix}`], itemBytes(type));
    });
    const rank = ranked[set.codec.name];
    const { column } = temperature;
    const logZ = column === undefined ? undefined : cellsOf(input.stored[column], 4);
    for (let row = 0; row < rows; row++) {
      const own = cells.map((column) => column[row]);
      const count = lengths[row];
      const entries = locate(input, row, () => rank(own, { set, labelSpace, count }));
      fillRow(out, entries, {
        first: row * L,
        k,
        temperature: temperature.of(logZ?.[row]),
        width: labelSpace.size,
      });
    }
    return {
      ...columnsOf(input, set, { lengths, L, k, ...out }),
      temperatureExact: temperature.exact,
    };
  },
};

/** Throws `request-invalid` where a sample does not fit, or the batch would be too large. */
function shapeOf(
  { request, rows, describe }: LayoutInput,
  set: TargetSet,
  lengths: readonly number[],
): { positions: number; k: number } {
  const longest = Math.max(1, ...lengths);
  const positions = request.pad_to ?? longest;
  if (longest > positions) {
    const sample = describe(lengths.indexOf(longest));
    const message = `${sample} has ${longest} positions, more than pad_to`;
    throw new LogitcaskError('request-invalid', message, { expected: longest, got: positions });
  }
  const k = request.k ?? set.sparsifier.entries_max;
  if (rows * positions * k * 8 > denseBytesMax) {
    const message = `request: the batch would hold over ${denseBytesMax} bytes; lower k or pad_to`;
    throw new LogitcaskError('request-invalid', message, { got: { rows, positions, k } });
  }
  return { positions, k };
}

/** How the temperature asked for is had: as stored, by a stored log Z, or approximated. */
function temperatureOf({ request }: LayoutInput, set: TargetSet) {
  const { temperature: value } = request;
  const stored = { exact: true, column: undefined, of: (): Temperature | undefined => undefined };
  if (value === set.temperature) return stored;
  if (set.kind === 'unbiased') {
    throw new LogitcaskError(
      'temperature-unsupported',
      `request: target set ${set.name} was drawn at temperature ${set.temperature}`,
      { expected: set.temperature, got: value },
    );
  }
  const index = set.log_z.indexOf(value);
  if (index < 0) return { ...stored, exact: false, of: (): Temperature => ({ value }) };
  const count = set.log_z.length;
  return {
    exact: set.temperature_exact,
    column: `${set.name}_log_z`,
    of: (bytes: Uint8Array | undefined): Temperature => {
      const all = new Float32Array(new Uint8Array(bytes ?? []).buffer);
      return { value, logZ: all.filter((_, i) => i % count === index) };
    },
  };
}

interface Filled {
  readonly lengths: readonly number[];
  readonly L: number;
  readonly k: number;
  readonly ids: Int32Array;
  readonly logprobs: Float32Array;
  readonly rest: Float32Array;
}

function columnsOf(input: LayoutInput, set: TargetSet, filled: Filled) {
  const { rows, stored, request } = input;
  const { lengths, L, k } = filled;
  const fixed = (size: number, item: ColumnType): ColumnType => ({
    type: 'fixed_list',
    size,
    item,
  });
  const half = request.dtype === 'float16';
  const types: Record<string, ColumnType> = {
    length: primitive('int32'),
    tokens: fixed(L, primitive('int32')),
    mask: fixed(L, { type: 'bool' }),
    [`${set.name}_ids`]: fixed(L, fixed(k, primitive('int32'))),
    [`${set.name}_logprobs`]: fixed(L, fixed(k, primitive(half ? 'float16' : 'float32'))),
  };
  const buffers: Record<string, ArrayBufferView> = {
    length: Int32Array.from(lengths),
    tokens: padInts(stored.tokens, L),
    mask: padMask(stored.mask, L),
    [`${set.name}_ids`]: filled.ids,
    [`${set.name}_logprobs`]: half ? toFloat16(filled.logprobs) : filled.logprobs,
  };
  if (set.kind === 'scaled') {
    types[`${set.name}_rest`] = fixed(L, primitive('float32'));
    buffers[`${set.name}_rest`] = filled.rest;
  }
  if (set.label_logprob) {
    types[`${set.name}_label_logprob`] = fixed(L, primitive('float32'));
    buffers[`${set.name}_label_logprob`] = padLabels(stored[`${set.name}_label_logprob`], L);
  }
  const columns = Object.fromEntries(
    Object.entries(buffers).map(([name, array]) => [name, { rows, buffers: [bytesOf(array)] }]),
  );
  return { types, columns: columns as Record<string, Column> };
}

function padInts(column: Column, L: number): Int32Array {
  const out = new Int32Array(column.rows * L);
  cellsOf(column, 4).forEach((cell, row) => {
    bytesOf(out).set(cell, row * L * 4);
  });
  return out;
}

function padMask(column: Column, L: number): Uint8Array {
  const flags = new Uint8Array(column.rows * L);
  const lengths = lengthsOf(column);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const all = unpackBits(column.buffers[1], total);
  let at = 0;
  lengths.forEach((length, row) => {
    flags.set(all.subarray(at, at + length), row * L);
    at += length;
  });
  return packBits(flags);
}

function padLabels(column: Column, L: number): Float32Array {
  const out = new Float32Array(column.rows * L).fill(Number.NaN);
  cellsOf(column, 2).forEach((cell, row) => {
    out.set(fromFloat16(new Uint16Array(new Uint8Array(cell).buffer)), row * L);
  });
  return out;
}
