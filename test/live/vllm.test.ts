/** Against a vLLM that runs: `test/live/vllm.sh` starts one and sets the address. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { run, start } from '../commands/program.ts';

const url = process.env.LOGITCASK_LIVE_VLLM;
if (url === undefined) console.log('live vLLM: skipped, run test/live/vllm.sh');

const folder = mkdtempSync(join(tmpdir(), 'logitcask-live-'));
afterAll(() => rmSync(folder, { recursive: true }));
const tokenizer = 'bench/data/small-lm/tokenizer.json';
const texts = join(folder, 'texts.txt');
const chapters = gunzipSync(readFileSync('data/kjv.txt.gz')).toString().split('\n\n');
writeFileSync(texts, chapters.filter((_, i) => i % 40 === 0).join('\n\n'));
const config = join(folder, 'build.json');
writeFileSync(
  config,
  JSON.stringify({
    source: {
      type: 'vllm',
      url,
      tokenizer,
      texts: [texts],
      top_k: 32,
      sample_length: 255,
      samples: 60,
    },
    sparsifier: { type: 'top-k', k: 32 },
    shard: { bytes_max: 65_536, batch_bytes_max: 16_384 },
  }),
);
const build = ['build', '--config', config, '--json', '--store'];

describe.skipIf(url === undefined)('a live vLLM', () => {
  it('answers the sentences of the example as a base model, and nothing twice', async () => {
    const store = join(folder, 'labels');
    const config = ['--config', 'examples/label/translation/label.yaml', '--mode', 'text'];
    const more = ['--top-k', '16', '--temperature', '1', '--responses', '3', '--out', store];
    const args = ['label', ...config, '--url', url ?? '', '--store', store, ...more, '--json'];
    const { code, stdout, stderr } = await run(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { asked, counts, snapshots } = JSON.parse(stdout);
    expect(asked.requests).toBe(36);
    expect(counts.responses).toBe(36);
    const again = JSON.parse((await run(args)).stdout);
    expect(again.asked.requests).toBe(0);
    const ids = (all: { snapshot: string }[]) => all.map(({ snapshot }) => snapshot);
    expect(ids(again.snapshots)).toEqual(ids(snapshots));
    for (const { dataset } of snapshots) {
      expect((await run(['verify', dataset, '--store', store])).code).toBe(0);
    }
  });

  it('is found to score given texts, in line', async () => {
    const { code, stdout } = await run([
      'doctor',
      `vllm:${url}`,
      '--tokenizer',
      tokenizer,
      '--json',
    ]);
    expect(code).toBe(0);
    const diagnosis = JSON.parse(stdout);
    expect(diagnosis).toMatchObject({ model: 'small-lm', context: 256, top_k: 64 });
    expect(diagnosis.top_k_refusal).toContain('greater than max allowed: 64');
  });

  it('is built from, killed and resumed, to the same snapshot as without a stop', async () => {
    const whole = JSON.parse((await run([...build, join(folder, 'a')])).stdout);
    expect(whole.manifest.totals.samples).toBe(60);
    const stopped = start([...build, join(folder, 'b')]);
    await wait(4000);
    stopped.child.kill('SIGKILL');
    await stopped.ended;
    const resumed = JSON.parse((await run([...build, join(folder, 'b')])).stdout);
    expect(resumed.snapshot).toBe(whole.snapshot);
    expect((await run(['verify', 'default', '--store', join(folder, 'b')])).code).toBe(0);
  });
});
