import { rmSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { sizeReport } from '../../schemas/audit.ts';
import { otherFormats } from '../../src/audit/other-formats.ts';
import { auditSize, measureSize } from '../../src/audit/size.ts';
import { filePath } from '../../src/shard/names.ts';
import { openFileStore } from '../../src/store/file.ts';
import { useStore } from '../support/folder.ts';
import { labelSpace, rowOf, sampleOf, targetSet, width, writeSamples } from '../support/shards.ts';

const place = useStore();
const shards = [30, 12].map((count, shard) =>
  Array.from({ length: count }, (_, i) => sampleOf(100 * shard + i)),
);
const samples = shards.flat();

describe('the size of a snapshot', () => {
  it('adds up: columns to their buffers, roles to the files of the manifest', async () => {
    const { id, manifest } = await writeSamples(place.store, shards, { batchBytesMax: 1_000_000 });
    const report = await measureSize(place.store, { dataset: 'default', snapshot: id });
    const positions = samples.reduce((sum, { tokens }) => sum + tokens.length, 0);
    expect(report.positions).toBe(positions);
    const rows = samples.map((sample) => rowOf(sample).columns);
    for (const { name, bytes, bytesPerPosition } of report.columns) {
      const values = rows.reduce(
        (sum, columns) => sum + (columns[name].buffers[1]?.length ?? 0),
        0,
      );
      const flat = name === 'sample_id' ? 16 * rows.length : values;
      const offsets = name === 'sample_id' ? 0 : 4 * (rows.length + shards.length);
      expect(bytes - flat - offsets).toBeGreaterThanOrEqual(name === 'mask' ? -rows.length : 0);
      expect(bytes - flat - offsets).toBeLessThan(8 * 2 * shards.length); // padding of buffers
      expect(bytesPerPosition).toBe(bytes / positions);
    }
    const names = Object.keys(rows[0]);
    expect(report.columns.map(({ name }) => name)).toEqual(names);
    for (const { role, bytes } of report.files) {
      const own = manifest.files.filter((file) => file.role === role);
      expect(bytes).toBe(own.reduce((sum, file) => sum + file.bytes, 0));
    }
    const total = report.files.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(total).toBe(manifest.totals.bytes);
    const inShards = report.files.find(({ role }) => role === 'shard')?.bytes ?? 0;
    const inColumns = report.columns.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(inColumns).toBeLessThan(inShards);
    expect(inShards - inColumns).toBeLessThan(shards.length * 8000); // directories of Arrow
  });

  it('counts distributions apart from the rest, beside whole ones and lists of K', async () => {
    const { id } = await writeSamples(place.store, shards);
    const report = await measureSize(place.store, { dataset: 'default', snapshot: id });
    const frames = report.columns.find(({ name }) => name === 'teacher_frame');
    expect(report.targets).toBe(frames?.bytesPerPosition);
    const both = report.files.filter(({ role }) => role === 'shard' || role === 'index');
    expect(report.whole).toBeCloseTo(
      both.reduce((sum, { bytesPerPosition }) => sum + bytesPerPosition, 0),
      9,
    );
    expect(report.full).toBe(4 * width);
    expect(report.topK).toBe(8 * 16);
  });

  it('counts all columns of raw targets', async () => {
    const set = { ...targetSet, codec: { name: 'raw' as const, parameters: {} } };
    const { id } = await writeSamples(place.store, shards, { set });
    const report = await measureSize(place.store, { dataset: 'default', snapshot: id });
    const own = ['counts', 'ids', 'logprobs', 'rest'].map((suffix) => `teacher_${suffix}`);
    const bytes = report.columns
      .filter(({ name }) => own.includes(name))
      .reduce((sum, column) => sum + column.bytes, 0);
    expect(report.targets).toBe(bytes / report.positions);
  });
});

describe('the size section of an audit', () => {
  it('has the bytes of the manifest, of each column and its target set', async () => {
    const { id, manifest } = await writeSamples(place.store, shards);
    const report = await auditSize(place.store, { dataset: 'default', snapshot: id });
    const short = await measureSize(place.store, { dataset: 'default', snapshot: id });
    expect(sizeReport.parse(report)).toEqual(report);
    expect(report.bytes).toBe(manifest.totals.bytes);
    expect(report.roles.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(report.bytes);
    expect(report.roles.find(({ role }) => role === 'shard')?.files).toBe(2);
    expect(report.files.total).toBe(manifest.files.length);
    const sizes = report.files.rows.map(({ bytes }) => bytes);
    expect(sizes).toEqual([...sizes].sort((a, b) => b - a));
    expect(report.columns.map(({ name, bytes }) => [name, bytes])).toEqual(
      short.columns.map(({ name, bytes }) => [name, bytes]),
    );
    expect(report.columns.find(({ name }) => name === 'teacher_frame')?.target_set).toBe('teacher');
    expect(report.columns.find(({ name }) => name === 'tokens')?.target_set).toBe(null);
    expect(report.target_bytes_per_position).toBeCloseTo(short.targets, 9);
    expect(report.others.find(({ name }) => name === 'int32 + float32 top-16')).toMatchObject({
      bytes_per_position: short.topK,
    });
    expect(report.cost).toBe(null);
  });

  it('leaves out what cannot be read, whose bytes a position stay those of the rest', async () => {
    const { id, manifest } = await writeSamples(place.store, shards);
    const [shard] = manifest.files.filter(({ role }) => role === 'shard');
    rmSync(place.path(filePath('default', shard.name)));
    const store = await openFileStore(place.folder); // the other one has it open
    const report = await auditSize(store, { dataset: 'default', snapshot: id });
    await store.close();
    expect(report.bytes).toBe(manifest.totals.bytes);
    const [frames] = report.columns.filter(({ name }) => name === 'teacher_frame');
    const positions = shards[1].reduce((sum, { tokens }) => sum + tokens.length, 0);
    expect(report.target_bytes_per_position).toBe(frames.bytes / positions);
    expect(report.savings.sampled_positions).toBe(positions);
  });
});

describe('a target set with its own label space', () => {
  it('is measured over that one', async () => {
    const own = { ...labelSpace, size: 100_000 };
    const set = { ...targetSet, label_space: own };
    const { id } = await writeSamples(place.store, shards, { set });
    const options = { dataset: 'default', snapshot: id };
    const { savings, others } = await auditSize(place.store, options);
    expect(savings.sampled_positions).toBeGreaterThan(0);
    expect(others[0].bytes_per_position).toBe(400_000);
    expect((await measureSize(place.store, options)).full).toBe(400_000);
  });
});

it('what others take is arithmetic: ids in as many bits as V needs, 56 bytes of values', () => {
  const of = (vocabulary: number, k?: number) =>
    Object.fromEntries(otherFormats(vocabulary, k).map(({ name, bytes }) => [name, bytes]));
  expect(of(128_256)['DistillKit top-64']).toBe(192);
  expect(of(8192)['DistillKit top-64']).toBe(160);
  expect(of(151_936, 128)['DistillKit top-128']).toBe(344);
  expect(of(8192, 8)).toMatchObject({ 'DistillKit top-8': 29, 'int32 + float16 top-8': 48 });
});
