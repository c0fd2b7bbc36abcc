import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeDump } from '../support/dump.ts';
import { run } from './program.ts';

let folder = '';
let store = '';
let snapshot = '';
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-cli-store-'));
  store = join(folder, 'store');
  writeDump(folder, { positions: 160, vocabulary: 96, sampleLength: 32 });
  const files = ['--logits', join(folder, 'logits.npy'), '--tokens', join(folder, 'tokens.npy')];
  const options = ['--sample-length', '32', '--k', '8', '--dataset', 'small'];
  const { stdout } = await run(['build', ...files, ...options, '--store', store, '--json']);
  snapshot = JSON.parse(stdout).snapshot;
});
afterAll(() => rmSync(folder, { recursive: true }));

const inStore = () => ['--store', store];

describe('logitcask inspect', () => {
  it('lists data sets with their tags', async () => {
    const { stdout } = await run(['inspect', ...inStore()]);
    expect(stdout).toBe(`small: 1 snapshot, latest → ${snapshot.slice(0, 12)}\n`);
    const json = await run(['inspect', '--json'], { LOGITCASK_STORE: store });
    expect(JSON.parse(json.stdout)).toEqual({
      datasets: [{ name: 'small', tags: { latest: snapshot }, snapshots: [snapshot] }],
    });
  });

  it('shows bytes by column, fidelity and alignment of a snapshot, by tag or digest', async () => {
    const { stdout } = await run(['inspect', 'small', ...inStore()]);
    for (const words of [
      '5 samples, 160 positions',
      'top-k (k 8), codec planes',
      'teacher_frame',
      'shard files',
      'KL mean',
      'alignment: log-prob',
    ]) {
      expect(stdout).toContain(words);
    }
    const json = await run(['inspect', 'small', snapshot, '--json', ...inStore()]);
    const { id, manifest, size } = JSON.parse(json.stdout);
    expect(id).toBe(snapshot);
    expect(manifest.totals.positions).toBe(160);
    expect(size.columns.map(({ name }: { name: string }) => name)).toContain('tokens');
  });

  it('shows the stored distributions of a sample, by ordinal or id', async () => {
    const json = await run(['inspect', 'small', '--sample', '2', '--json', ...inStore()]);
    const sample = JSON.parse(json.stdout);
    expect(sample.positions).toHaveLength(8);
    for (const { entries, rest, token, next, position, label_p } of sample.positions) {
      const probabilities = entries.map(({ p }: { p: number }) => p);
      const kept = probabilities.reduce((sum: number, p: number) => sum + p, 0);
      expect(kept + rest).toBeCloseTo(1, 5);
      expect(probabilities).toEqual([...probabilities].sort((a, b) => b - a));
      expect([token, next]).toEqual(sample.tokens.slice(position, position + 2));
      const label = entries.find(({ id }: { id: number }) => id === next);
      if (label !== undefined) expect(label_p).toBeCloseTo(label.p, 2);
    }
    const args = ['--sample', sample.id, '--positions', '3', ...inStore()];
    const { stdout } = await run(['inspect', 'small', ...args]);
    expect(stdout).toContain(`sample 2 (${sample.id}), 32 positions, {"row":64}`);
    expect(stdout.match(/^ {2}\d+: /gm)).toHaveLength(3);
  });

  it.each([
    ['a data set that is not there', ['none'], 'dataset-not-found'],
    ['a tag that is not there', ['small', 'v9'], 'snapshot-not-found'],
    ['a sample beyond the end', ['small', '--sample', '5'], 'sample-not-found'],
    ['a sample that is no number', ['small', '--sample', '1.5'], 'sample-not-found'],
    ['an id that is not there', ['small', '--sample', 'a'.repeat(32)], 'sample-not-found'],
    ['a name with a path', ['../small'], 'name-invalid'],
  ])('refuses %s', async (_, args, code) => {
    const ended = await run(['inspect', ...args, ...inStore()]);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain(`code: ${code}\n`);
  });
});

describe('logitcask verify', () => {
  it('finds nothing wrong with a whole snapshot', async () => {
    const { code, stdout } = await run(['verify', 'small', ...inStore()]);
    expect(code).toBe(0);
    expect(stdout).toContain('everything is as it was written');
  });

  it('names each damaged file, repairs nothing, and ends with exit code 3 every time', async () => {
    const damaged = join(folder, 'damaged');
    cpSync(store, damaged, { recursive: true });
    const files = join(damaged, 'small', 'files');
    const names = readdirSync(files).filter((name) => /00000\.arrow$|reference/.test(name));
    expect(names).toHaveLength(2);
    for (const name of names) {
      const bytes = readFileSync(join(files, name));
      bytes[bytes.length >> 1] ^= 1;
      writeFileSync(join(files, name), bytes);
    }
    for (const _ of [1, 2]) {
      const json = await run(['verify', 'small', '--json', '--store', damaged]);
      expect(json.code).toBe(3);
      const { problems } = JSON.parse(json.stdout);
      expect(problems.map(({ file }: { file: string }) => file).sort()).toEqual(names.sort());
    }
    const { code, stdout } = await run(['verify', 'small', '--store', damaged]);
    expect(code).toBe(3);
    for (const name of names) expect(stdout).toContain(`DAMAGED ${name}: `);
  });
});
