import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeDump } from '../support/dump.ts';
import { run } from './program.ts';

let folder = '';
const store = () => join(folder, 'store');
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-convert-'));
  writeDump(folder, { positions: 320, vocabulary: 200, sampleLength: 32 });
  const inputs = ['logits', 'tokens'].flatMap((n) => [`--${n}`, join(folder, `${n}.npy`)]);
  const { code, stderr } = await run(['build', ...inputs, '--store', store(), '--dataset', 'mine']);
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('export and import', () => {
  const out = () => join(folder, 'out');

  it('take a snapshot out and in again, and say what they did', async () => {
    const exported = await run(['export', 'mine', '--out', out(), '--store', store()]);
    expect(exported.code).toBe(0);
    expect(exported.stdout).toMatch(/out: snapshot [0-9a-f]{64}\n {2}converted, 1 shards\n {2}1 /);
    const args = ['import', out(), '--dataset', 'back', '--store', store()];
    const imported = await run([...args, '--json']);
    const { manifest, reused } = JSON.parse(imported.stdout);
    expect(reused).toBe(false);
    expect(manifest.target_sets[0].codec.name).toBe('planes');
    expect((await run(args)).stdout).toContain('reused');
    const verified = await run(['verify', 'back', '--store', store()]);
    expect(verified).toMatchObject({ code: 0 });
  });

  it('end with the code of their error', async () => {
    const again = await run(['export', 'mine', '--out', out(), '--store', store(), '--json']);
    expect(again).toMatchObject({ code: 1, stdout: '' });
    expect(JSON.parse(again.stderr)).toMatchObject({ code: 'store-exists' });
    const none = await run(['import', folder, '--store', store()]);
    expect(none.code).toBe(2);
    expect(none.stderr).toContain('source-unreadable');
  });
});

describe('build --format parquet', () => {
  it('takes codec plain by itself and is inspected, verified and reused', async () => {
    const inputs = ['logits', 'tokens'].flatMap((n) => [`--${n}`, join(folder, `${n}.npy`)]);
    const args = [
      'build',
      ...inputs,
      '--store',
      store(),
      '--dataset',
      'sql',
      '--format',
      'parquet',
    ];
    const built = await run([...args, '--json']);
    const { manifest, columns } = JSON.parse(built.stdout);
    expect(manifest.target_sets[0].codec).toEqual({ name: 'plain', parameters: { step: 0.003 } });
    expect(columns.teacher_ids).toBeGreaterThan(0);
    expect((await run(args)).stdout).toContain('reused');
    expect((await run(['verify', 'sql', '--store', store()])).code).toBe(0);
    const inspected = await run(['inspect', 'sql', '--store', store()]);
    expect(inspected.stdout).toMatch(/teacher_levels +\S+ [kM]?B +\S+ B\/position/);
    const sample = await run(['inspect', 'sql', '--sample', '0', '--store', store()]);
    expect(sample.code).toBe(0);
  });
});
