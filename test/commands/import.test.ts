import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LayoutName } from '../../src/capture/lists-layouts.ts';
import type { DecodedTargets } from '../../src/distribution/targets.ts';
import { openCodec } from '../../src/encode/table.ts';
import { bytesOf, type Column } from '../../src/formats/layout.ts';
import { openSnapshot } from '../../src/shard/open-snapshot.ts';
import { openStore } from '../../src/store/table.ts';
import { jsonLines, realLists, records, samplesOf } from '../support/list-files.ts';
import { writeNpz } from '../support/npz.ts';
import { npzMembers } from '../support/top-lists.ts';
import { filesOf, run } from './program.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-import-'));
const path = (name: string) => join(folder, name);
const store = path('store');
const layouts = Object.keys(records) as LayoutName[];
const inStore = (dataset: string) => ['--store', store, '--dataset', dataset];

beforeAll(async () => {
  const lists = await realLists(100, 300);
  writeNpz(path('lists.npz'), npzMembers(lists));
  const samples = samplesOf(lists, 50);
  for (const name of layouts) {
    writeFileSync(path(`${name}.jsonl`), jsonLines(records[name](samples)));
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Ids, tokens and decoded targets of all samples, those at last positions left out. */
async function stored(dataset: string) {
  const opened = await openStore(store);
  const snapshot = await openSnapshot(opened, { dataset, snapshot: 'latest' });
  const { label_space, target_sets, totals } = snapshot.manifest;
  const codec = openCodec(target_sets[0], label_space);
  const found: unknown[] = [];
  for (let ordinal = 0; ordinal < totals.samples; ordinal++) {
    const names = ['sample_id', 'tokens', 'mask', 'teacher_frame'];
    const columns = await snapshot.read([ordinal], names);
    const count = columns.tokens.buffers[1].byteLength / 4;
    const bytes = (column: Column) => column.buffers.map((buffer) => [...bytesOf(buffer)]);
    const targets: DecodedTargets = codec.decode([columns.teacher_frame.buffers[1]], count);
    const end = targets.offsets[count - 1];
    found.push({
      inputs: names.slice(0, 3).map((name) => bytes(columns[name])),
      ids: [...targets.ids.subarray(0, end)],
      probs: [...targets.probs.subarray(0, end)],
      rest: [...(targets.rest ?? []).subarray(0, count - 1)],
    });
  }
  await snapshot.close();
  await opened.close();
  return found;
}

describe('logitcask import', () => {
  it.each(layouts)('stores %s as a dump of the same lists is stored', async (name) => {
    const dump = ['--logits', path('lists.npz'), '--sample-length', '50', '--k', '100'];
    expect(await run(['build', ...dump, ...inStore('dump')])).toMatchObject({ code: 0 });
    const lists = [path(`${name}.jsonl`), '--vocabulary', '8192'];
    const ended = await run(['import', ...lists, ...inStore(name), '--json']);
    expect(ended.stderr).toBe('');
    const { manifest } = JSON.parse(ended.stdout);
    expect(manifest.totals).toMatchObject({ samples: 6, positions: 300, learned: 294 });
    expect(manifest.inputs.origin).toContain(`(${name}), over the whole vocabulary`);
    const [set] = manifest.target_sets;
    expect(set.teacher).toMatchObject({ source: 'lists', reports: 'top-list' });
    expect(set.sparsifier.parameters).toEqual({ k: 1024 });
    expect(set.alignment.at).toBeGreaterThan(set.alignment.before);
    expect(await stored(name)).toEqual(await stored('dump'));
    const verified = await run(['verify', name, '--store', store]);
    expect(verified.code).toBe(0);
  });

  it('is what `build --lists` does, several files with commas between', async () => {
    const [a, b] = [path('a.jsonl'), path('b.jsonl')];
    const samples = samplesOf(await realLists(20, 120), 40);
    writeFileSync(a, jsonLines(records.samples(samples.slice(0, 1))));
    writeFileSync(b, jsonLines(records.samples(samples.slice(1))));
    const vocabulary = ['--vocabulary', '8192', '--k', '20', '--json'];
    const snapshotOf = async (args: string[]) => JSON.parse((await run(args)).stdout).snapshot;
    const built = await snapshotOf([
      ...['build', '--lists', `${a},${b}`, '--layout', 'samples', '--aligned', 'logits'],
      ...vocabulary,
      ...inStore('same'),
    ]);
    const imported = await snapshotOf(['import', a, b, ...vocabulary, '--store', path('other')]);
    expect(built).toMatch(/^[0-9a-f]{64}$/);
    expect((await run(['verify', 'same', built, '--store', store])).code).toBe(0);
    // the data set's name is part of a manifest
    expect(imported).not.toBe(built);
    const again = await snapshotOf(['import', a, b, ...vocabulary, ...inStore('same')]);
    expect(again).toBe(built);
  });

  it('lets a file of settings replace what it keeps', async () => {
    writeFileSync(path('k.yaml'), 'sparsifier: {type: top-k, k: 5}\n');
    const args = ['import', path('samples.jsonl'), '--vocabulary', '8192', '--json'];
    const ended = await run([...args, '--config', path('k.yaml'), ...inStore('five')]);
    const [set] = JSON.parse(ended.stdout).manifest.target_sets;
    expect(set.sparsifier.parameters).toEqual({ k: 5 });
  });

  it('refuses lists that are a token early, and says what fits', async () => {
    const samples = samplesOf(await realLists(8, 120), 40).map(({ tokens, ids, logprobs }) => ({
      tokens,
      ids: [[], ...ids.slice(0, -1)],
      logprobs: [[], ...logprobs.slice(0, -1)],
    }));
    writeFileSync(path('early.jsonl'), jsonLines(records.samples(samples)));
    const args = ['import', path('early.jsonl'), '--vocabulary', '8192'];
    const ended = await run([...args, '--store', path('early')]);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain('code: source-misaligned');
    expect(ended.stderr).toContain('shift −1');
    expect(ended.stderr).toContain('--aligned tokens');
    expect(filesOf(path('early'))).toEqual([]);
    const right = await run([...args, '--aligned', 'tokens', '--store', path('early')]);
    expect(right.code).toBe(0);
  });
});
