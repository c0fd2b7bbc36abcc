import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run, start } from './program.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-quickstart-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

it('runs the whole pipe, reports it, and reuses all of it the second time', async () => {
  const first = await run(['quickstart', '--once', '--json', '--store', folder]);
  expect(first.code).toBe(0);
  expect(first.stdout.trim().split('\n')).toHaveLength(1);
  const { build, pulled, size } = JSON.parse(first.stdout);
  const [{ fidelity, alignment }] = build.manifest.target_sets;
  expect(build.reused).toBe(false);
  expect(pulled.positions).toBe(build.positions);
  expect(build.manifest.target_sets[0]).toMatchObject({ kind: 'unbiased', log_z: [] });
  expect(size.topK).toBe(512);
  expect(size.topK / size.targets).toBeGreaterThan(8);
  expect(fidelity.squared_error.mean).toBeLessThan(0.01);
  expect(Math.abs(fidelity.mass - 1)).toBeLessThan(0.01);
  expect(alignment.at).toBeGreaterThan(Math.max(alignment.before, alignment.after) + 1);

  const server = start(['quickstart', '--store', folder, '--port', '0']);
  const [, url] = await server.printed(/The server stays up at (\S+) until Ctrl-C/);
  expect((await fetch(`${url}/v1/datasets/quickstart`)).status).toBe(200);
  server.child.kill('SIGINT');
  const { code, stdout } = await server.ended;
  expect(code).toBe(0);
  for (const words of [
    'reused: a complete build',
    `snapshot ${build.snapshot}`,
    'int32 + float32 top-64',
    'smaller than top-64',
    '  teacher_frame ',
    'entries a position, drawn',
    'variance    mean',
    'shifts −1 / 0 / +1',
    'serve and pull',
    `LogitDataset("${url}", "quickstart"`,
  ]) {
    expect(stdout).toContain(words);
  }
}, 240_000);
