import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeDump } from '../support/dump.ts';
import { filesOf, run, start } from './program.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-cli-build-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function dump(shape: Partial<Parameters<typeof writeDump>[1]> = {}): string[] {
  const { source } = writeDump(folder, {
    positions: 160,
    vocabulary: 96,
    sampleLength: 32,
    ...shape,
  });
  const { logits, tokens = '' } = source as { logits: string; tokens?: string };
  return ['--logits', logits, '--tokens', tokens, '--sample-length', '32'];
}

const inStore = (name: string) => ['--store', join(folder, name)];

describe('logitcask build', () => {
  it('says what it built, and that it reuses it', async () => {
    const args = ['build', ...dump(), ...inStore('a'), '--k', '8'];
    const first = await run(args);
    expect(first.code).toBe(0);
    expect(first.stdout).toMatch(/^default: snapshot [0-9a-f]{64}\n {2}built in /);
    expect(first.stdout).toContain('5 samples, 160 positions');
    const second = await run([...args, '--tag', 'again']);
    expect(second.stdout.split('\n')[0]).toBe(first.stdout.split('\n')[0]);
    expect(second.stdout).toContain('reused: a complete build');
  });

  it('prints one JSON object and nothing else with --json', async () => {
    const { code, stdout } = await run(['build', ...dump(), ...inStore('a'), '--json']);
    expect(code).toBe(0);
    expect(stdout.trim().split('\n')).toHaveLength(1);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ dataset: 'default', reused: false, positions: 160 });
    expect(Object.keys(report.seconds)).toContain('sparsify');
    expect(report.columns.teacher_frame).toBeGreaterThan(0);
  });

  it('takes flags over variables over the file', async () => {
    const config = join(folder, 'build.yaml');
    writeFileSync(config, 'sparsifier: {k: 3}\ndataset: file\ntag: file\ncodec: {type: raw}\n');
    const { stdout, stderr } = await run(
      ['build', ...dump(), '--config', config, '--tag', 'flag', '--json'],
      { LOGITCASK_STORE: join(folder, 'a'), LOGITCASK_DATASET: 'variable', LOGITCASK_TAG: 'x' },
    );
    expect(stderr).toBe('');
    const [set] = JSON.parse(stdout).manifest.target_sets;
    expect(set).toMatchObject({ sparsifier: { parameters: { k: 3 } }, codec: { name: 'raw' } });
    expect(existsSync(join(folder, 'a', 'variable', 'tags', 'flag'))).toBe(true);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('stops on %s, keeps whole shards, and goes on behind them', async (signal, code) => {
    const config = join(folder, 'build.yaml');
    const small = '{bytes_max: 65536, batch_bytes_max: 16384}';
    const rest = 'reference: {positions: 64, entries: 64}\nsparsifier: {type: top-k}';
    writeFileSync(config, `shard: ${small}\n${rest}\n`);
    const args = ['build', ...dump({ positions: 12_800, vocabulary: 512 }), '--config', config];
    const { child, ended } = start([...args, ...inStore('stopped')]);
    const files = join(folder, 'stopped', 'default', 'files');
    const shards = () =>
      existsSync(files) ? readdirSync(files).filter((name) => name.endsWith('.arrow')) : [];
    while (shards().length === 0 && child.exitCode === null) await wait(2);
    child.kill(signal);
    expect(await ended).toMatchObject({ code, stdout: '' });
    expect((await ended).stderr).toContain('code: interrupted');
    const kept = shards();
    expect(readdirSync(files).filter((name) => name.startsWith('.'))).toEqual([]);
    expect(existsSync(join(folder, 'stopped', 'default', 'snapshots'))).toBe(false);
    const resumed = await run([...args, ...inStore('stopped'), '--json']);
    const report = JSON.parse(resumed.stdout);
    expect(report.resumedSamples).toBeGreaterThan(0);
    expect(shards()).toEqual(expect.arrayContaining(kept));
    const whole = await run([...args, ...inStore('whole'), '--json']);
    expect(report.snapshot).toBe(JSON.parse(whole.stdout).snapshot);
  });
});

describe('bad input of a build', () => {
  const value = (file: string, change: (bytes: Buffer) => void) => {
    const path = join(folder, file);
    const bytes = readFileSync(path);
    change(bytes);
    writeFileSync(path, bytes);
  };

  it.each([
    [
      'a NaN',
      'row-invalid',
      () => value('logits.npy', (bytes) => bytes.writeFloatLE(Number.NaN, bytes.length - 400)),
    ],
    [
      'a token outside the vocabulary',
      'token-out-of-range',
      () => value('tokens.npy', (bytes) => bytes.writeInt32LE(96, bytes.length - 8)),
    ],
    [
      'tokens of another length',
      'source-',
      () =>
        writeFileSync(
          join(folder, 'tokens.npy'),
          readFileSync(join(folder, 'tokens.npy')).subarray(0, -4),
        ),
    ],
    [
      'tokens that are not the next ones',
      'source-misaligned',
      () => value('tokens.npy', (bytes) => bytes.copy(bytes, 128 + 4, 128, bytes.length - 4)),
    ],
    ['no numpy file', 'source-unreadable', () => writeFileSync(join(folder, 'logits.npy'), 'PK')],
  ])('ends with exit code 2, a code, and no half-written file: %s', async (_, code, spoil) => {
    const args = ['build', ...dump(), ...inStore('bad')];
    spoil();
    const ended = await run(args);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toMatch(`code: ${code}`);
    expect(ended.stderr).not.toContain('    at ');
    expect(filesOf(join(folder, 'bad'))).toEqual([]);
  });
});
