import { describe, expect, it } from 'vitest';
import { measureSize } from '../../src/audit/size.ts';
import { useStore } from '../support/folder.ts';
import { rowOf, sampleOf, targetSet, width, writeSamples } from '../support/shards.ts';

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
