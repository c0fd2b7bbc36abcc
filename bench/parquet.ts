/** Parquet: our writer and reader on the columns of real targets, beside two libraries; memory. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Encoding, parquetReadObjects } from 'hyparquet';
import { parquetWriteBuffer } from 'hyparquet-writer';
import * as wasm from 'parquet-wasm';
import { buildConfig } from '../schemas/build-config.ts';
import { build } from '../src/build.ts';
import { type Columns, type ColumnTypes, encodeStream } from '../src/formats/arrow.ts';
import { columnBytes, int32Of } from '../src/formats/layout.ts';
import { footerBytes, readFooter } from '../src/formats/parquet-footer.ts';
import { readChunk } from '../src/formats/parquet-pages.ts';
import { leavesOf, schemaOf } from '../src/formats/parquet-schema.ts';
import { parquetFileWriter } from '../src/formats/parquet-writer.ts';
import { zstdCompress, zstdDecompress } from '../src/formats/zstd.ts';
import { openSnapshot } from '../src/shard/open-snapshot.ts';
import { openStore } from '../src/store/table.ts';
import { atMost, type Benchmark, type Figure, median, plain, spread } from './figure.ts';
import { repeatedDump, v128k } from './inputs.ts';
import { cli, measure } from './process.ts';

const rounds = 5;
const limitMiB = 512;
const names = ['tokens', 'counts', 'ids', 'levels', 'rest'];
const stored = names.map((name) => (name === 'tokens' ? name : `teacher_${name}`));

interface Table {
  readonly types: ColumnTypes;
  readonly columns: Columns;
  readonly positions: number;
  readonly mib: number;
}

type Writer = (table: Table) => Uint8Array;

const writers: Readonly<Record<string, Writer>> = {
  ours({ types, columns }) {
    const writer = parquetFileWriter(types, {});
    return Buffer.concat([...writer.start(), ...writer.batch(columns).chunks, ...writer.finish()]);
  },
  'hyparquet-writer': (table) => byRows(table, 'PLAIN', 6),
  'hyparquet-writer, BYTE_STREAM_SPLIT, level 3': (table) => byRows(table, 'BYTE_STREAM_SPLIT', 3),
  'parquet-wasm': (table) => byWasm(table, wasm.Encoding.PLAIN),
  'parquet-wasm, BYTE_STREAM_SPLIT': (table) => byWasm(table, wasm.Encoding.BYTE_STREAM_SPLIT),
};

/** As its documentation has it: lists as arrays of numbers. */
function byRows(table: Table, encoding: Encoding, level: 3 | 6): Uint8Array {
  const columnData = stored.map((name) => ({ name, encoding, data: listsOf(table, name) }));
  const compressors = { ZSTD: (raw: Uint8Array) => zstdCompress(raw, level) };
  const schema = schemaOf(leavesOf(table.types));
  const pageSize = 2 ** 28;
  const rows = { columnData, schema, codec: 'ZSTD' as const, compressors, pageSize };
  return new Uint8Array(parquetWriteBuffer(rows));
}

function listsOf({ types, columns }: Table, name: string): number[][] {
  const [offsetBytes, bytes] = columns[name].buffers;
  const offsets = int32Of(offsetBytes);
  const type = types[name];
  const isHalf = type.type === 'list' && type.item.type === 'uint16';
  const { buffer } = new Uint8Array(bytes);
  const values = isHalf ? new Uint16Array(buffer) : new Int32Array(buffer);
  return Array.from({ length: offsets.length - 1 }, (_, row) =>
    Array.from(values.subarray(offsets[row], offsets[row + 1])),
  );
}

/** Whole table in memory; its encodings are set for all columns at once. */
function byWasm({ types, columns }: Table, encoding: wasm.Encoding): Uint8Array {
  const properties = new wasm.WriterPropertiesBuilder()
    .setCompression(wasm.Compression.ZSTD)
    .setDictionaryEnabled(false)
    .setEncoding(encoding)
    .setDataPageSizeLimit(2 ** 28)
    .build();
  const table = wasm.Table.fromIPCStream(encodeStream(types, [columns], {}));
  return wasm.writeParquet(table, properties);
}

async function tableOf(source: Record<string, unknown>): Promise<Table> {
  const folder = mkdtempSync(join(tmpdir(), 'logitcask-parquet-'));
  const codec = { type: 'plain' };
  await build(buildConfig.parse({ store: folder, source, codec }), { dataFolder: 'data' });
  const store = await openStore(folder);
  const reader = await openSnapshot(store, { dataset: 'default', snapshot: 'latest' });
  const { samples, positions } = reader.manifest.totals;
  const ordinals = Array.from({ length: samples }, (_, i) => i);
  const columns = await reader.read(ordinals, stored);
  const types = Object.fromEntries(stored.map((name) => [name, reader.columns[name]]));
  await reader.close();
  await store.close();
  rmSync(folder, { recursive: true });
  const bytes = Object.values(columns).reduce((sum, column) => sum + columnBytes(column), 0);
  return { types, columns, positions, mib: bytes / 2 ** 20 };
}

async function cpu(action: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  await action();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

async function* writing(name: string, table: Table): AsyncGenerator<Figure> {
  const found = Object.keys(writers).map((writer) => ({
    writer,
    speeds: [] as number[],
    bytes: 0,
  }));
  for (let round = 0; round < rounds; round++) {
    for (const one of found) {
      const seconds = await cpu(() => {
        one.bytes = writers[one.writer](table).length;
      });
      one.speeds.push(table.mib / seconds);
    }
  }
  const [ours, ...peers] = found;
  const speed = median(ours.speeds);
  const bytes = ours.bytes / table.positions;
  for (const { writer, speeds, bytes: theirs } of peers) {
    const peerSpeed = median(speeds);
    const figure = `write, ${name} (${spread(ours.speeds)})`;
    const beside = { peer: `${writer} (${spread(speeds)})`, peerValue: peerSpeed };
    yield { ...plain(figure, 'MiB/CPU-s', speed), ...beside, ratio: speed / peerSpeed };
    const peerValue = theirs / table.positions;
    const size = plain(`size, ${name}`, 'B/position', bytes);
    yield { ...size, peer: writer, peerValue, ratio: peerValue / bytes };
  }
  const packing = await cpu(() => {
    for (const { buffers } of Object.values(table.columns)) zstdCompress(buffers[1], 6);
  });
  const share = (100 * packing * speed) / table.mib;
  yield plain(`write, ${name}: what limits it, ZSTD level 6 alone`, '% of the time', share);
}

async function* reading(name: string, table: Table): AsyncGenerator<Figure> {
  const bytes = Buffer.from(writers.ours(table));
  const { types, columns } = table;
  const { rows } = columns.tokens;
  const own = () => {
    const length = footerBytes(bytes.subarray(-8), bytes.length);
    const [group] = readFooter(bytes.subarray(-length), bytes.length, types).groups;
    for (const [column, type] of Object.entries(types)) {
      const { offset, bytes: size } = group.columns[column];
      readChunk(bytes.subarray(offset, offset + size), { name: column, type, rows });
    }
  };
  const file = new Uint8Array(bytes).buffer;
  const theirs = () => parquetReadObjects({ file, compressors: { ZSTD: zstdDecompress } });
  const [a, b]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    a.push(table.mib / (await cpu(own)));
    b.push(table.mib / (await cpu(theirs)));
  }
  const [value, peerValue] = [median(a), median(b)];
  const figure = plain(`read, ${name} (${spread(a)})`, 'MiB/CPU-s', value);
  yield { ...figure, peer: `hyparquet (${spread(b)})`, peerValue, ratio: value / peerValue };
  const positions = (table.positions * value) / table.mib;
  yield plain(`read, ${name}`, 'positions/CPU-s', positions);
}

/** Peak memory of builds from a dump and from one four times its size. */
async function* memory(log: (text: string) => void): AsyncGenerator<Figure> {
  for (const times of [64, 256]) {
    const { logits, tokens } = await repeatedDump(times);
    const gib = (times * 8) / 1024;
    log(`memory: build --format parquet from a dump of ${gib} GiB`);
    const store = mkdtempSync(join(tmpdir(), 'logitcask-parquet-'));
    const args = ['build', '--logits', logits, '--tokens', tokens, '--store', store];
    const built = await measure(process.execPath, [cli, ...args, '--format', 'parquet', '--json']);
    rmSync(store, { recursive: true });
    const peak = built.memory / 2 ** 20;
    yield atMost(`build --format parquet from ${gib} GiB, peak memory`, 'MiB', peak, limitMiB);
  }
}

export const parquet: Benchmark = {
  name: 'parquet',
  summary: 'our Parquet writer and reader beside hyparquet and parquet-wasm; memory of a build',
  async *run(log) {
    const sources = {
      'small LM': { type: 'dump', ...(await repeatedDump(16)) },
      'v128k-syn': { type: 'dump', logits: v128k },
    };
    for (const [name, source] of Object.entries(sources)) {
      log(`columns of ${name}, 512 positions a sample`);
      const table = await tableOf(source);
      yield* writing(name, table);
      yield* reading(name, table);
    }
    yield* memory(log);
  },
};
