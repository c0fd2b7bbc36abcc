import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { measureSize } from '../../src/audit/size.ts';
import { build } from '../../src/build.ts';
import type { DecodedTargets } from '../../src/distribution/targets.ts';
import { fromFloat16 } from '../../src/formats/float16.ts';
import { unpackBits } from '../../src/formats/layout.ts';
import { openSnapshot } from '../../src/shard/open-snapshot.ts';
import { readTargets } from '../../src/shard/read-targets.ts';
import type { SnapshotReader } from '../../src/shard/reader.ts';
import type { Store } from '../../src/store/store.ts';
import { openStore } from '../../src/store/table.ts';
import { configOf } from '../support/dump.ts';

const latest = { dataset: 'default', snapshot: 'latest' };

interface Row {
  readonly id: string;
  readonly document: string;
  readonly mask: readonly boolean[];
  readonly label: readonly number[];
  readonly targets: DecodedTargets;
}

let folder = '';
let store: Store;
let reader: SnapshotReader;
let rows: Row[];
let query: (sql: string) => Promise<Record<string, unknown>[]>;

/** The queries of the page by their headings; the page's folder becomes the test's. */
const page = readFileSync('docs/sql.md', 'utf8');
const sections = page.split(/^## /m).slice(1);
const queries = sections.flatMap((section) => {
  const heading = section.slice(0, section.indexOf('\n'));
  const blocks = [...section.matchAll(/```sql\n(.*?)```/gs)];
  return blocks.map(([, sql], i) => [i === 0 ? heading : `${heading}, ${i + 1}`, sql] as const);
});
const ask = (heading: string) => query(new Map(queries).get(heading) as string);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-sql-'));
  const config = configOf({
    store: folder,
    source: { type: 'ngram', samples: 40, sample_length: 128 },
    sparsifier: { type: 'top-k', k: 16 },
    codec: { type: 'plain' },
    format: 'parquet',
    shard: { bytes_max: 65_536, batch_bytes_max: 65_536 },
    reference: { positions: 16 },
  });
  await build(config, { dataFolder: 'data' });
  store = await openStore(folder);
  reader = await openSnapshot(store, latest);
  rows = await readAll();
  const instance = await DuckDBInstance.create();
  const connection = await instance.connect();
  const files = join(folder, 'default', 'files');
  query = async (sql) => {
    const result = await connection.runAndReadAll(sql.replaceAll('mine-parquet', files));
    return result.getRowObjectsJS() as Record<string, unknown>[];
  };
}, 120_000);
afterAll(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

async function readAll(): Promise<Row[]> {
  const [set] = reader.manifest.target_sets;
  const found: Row[] = [];
  for (let ordinal = 0; ordinal < reader.manifest.totals.samples; ordinal++) {
    const columns = await reader.read([ordinal], Object.keys(reader.columns));
    const { targets } = await readTargets(reader, set, ordinal);
    const label = new Uint8Array(columns.teacher_label_logprob.buffers[1]).buffer;
    found.push({
      id: Buffer.from(columns.sample_id.buffers[0]).toString('hex'),
      document: String(JSON.parse(Buffer.from(columns.meta.buffers[1]).toString()).document),
      mask: [...unpackBits(columns.mask.buffers[1], targets.count)].map((bit) => bit === 1),
      label: [...fromFloat16(new Uint16Array(label))],
      targets,
    });
  }
  return found;
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
const mean = (values: readonly number[]) => sum(values) / values.length;
const losses = ({ mask, label }: Row) =>
  label.filter((logp, t) => mask[t] && !Number.isNaN(logp)).map((logp) => -logp);

describe('docs/sql.md', () => {
  it.each(queries)('has a query that DuckDB runs: %s', async (heading, sql) => {
    const found = await query(sql);
    expect(found.length > 0 || heading === 'Samples that occur twice').toBe(true);
  });

  it('counts the bytes of every column as we do', async () => {
    const { columns } = await measureSize(store, latest);
    const found = await ask('Bytes by column');
    const sizes = Object.fromEntries(found.map(({ name, bytes }) => [name, Number(bytes)]));
    expect(sizes).toEqual(Object.fromEntries(columns.map(({ name, bytes }) => [name, bytes])));
    const sources = await ask('Bytes by source');
    const shared = sum(sources.map(({ bytes }) => Number(bytes)));
    const total = sum(columns.map(({ bytes }) => bytes));
    expect(Math.abs(shared - total)).toBeLessThanOrEqual(sources.length);
    for (const { source, samples, positions, entries } of sources) {
      const own = rows.filter(({ document }) => document === source);
      expect(Number(samples)).toBe(own.length);
      expect(Number(positions)).toBe(sum(own.map(({ targets }) => targets.count)));
      expect(Number(entries)).toBe(sum(own.map(({ targets }) => targets.ids.length)));
    }
    expect(sources.length).toBe(new Set(rows.map(({ document }) => document)).size);
  });

  it('has the mass by position that our decoder has', async () => {
    for (const { first_position: first, positions, mass, entries } of await ask(
      'Mass by position',
    )) {
      const from = Number(first);
      const own = rows.flatMap(({ mask, targets: { rest, offsets } }) =>
        [...rest]
          .map((value, t) => ({ t, mass: 1 - value, entries: offsets[t + 1] - offsets[t] }))
          .filter(({ t }) => mask[t] && t >= from && t < from + 64),
      );
      expect(Number(positions)).toBe(own.length);
      expect(mass).toBeCloseTo(mean(own.map((one) => one.mass)), 6);
      expect(entries).toBeCloseTo(mean(own.map((one) => one.entries)), 9);
    }
  });

  it('finds the hardest samples, and the perplexity', async () => {
    const found = await ask('Hardest samples');
    const wanted = rows
      .map((row) => ({ sample: row.id, loss: mean(losses(row)) }))
      .sort((a, b) => b.loss - a.loss)
      .slice(0, 10);
    expect(found.map(({ sample }) => sample)).toEqual(wanted.map(({ sample }) => sample));
    found.forEach(({ loss }, i) => {
      expect(loss).toBeCloseTo(wanted[i].loss, 6);
    });
    const [{ perplexity }] = await ask('Perplexity of the teacher');
    expect(Number(perplexity) / Math.exp(mean(rows.flatMap(losses)))).toBeCloseTo(1, 6);
  });

  it('adds up the probabilities that our decoder gives', async () => {
    const mass = new Map<number, number>();
    for (const { targets } of rows) {
      targets.ids.forEach((id, i) => {
        mass.set(id, (mass.get(id) ?? 0) + targets.probs[i]);
      });
    }
    const wanted = [...mass].sort((a, b) => b[1] - a[1]).slice(0, 10);
    const found = await ask('Tokens that the teacher expects');
    expect(found.map(({ id }) => id)).toEqual(wanted.map(([id]) => id));
    found.forEach((row, i) => {
      expect(row.mass).toBeCloseTo(wanted[i][1], 4);
    });
    const [{ codec }] = await ask('Tokens that the teacher expects, 2');
    expect(JSON.parse(String(codec))).toEqual(reader.manifest.target_sets[0].codec);
  });
});
