/** The examples of examples/label, run as their pages say, against recorded replies. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openParquetRows } from '../../src/formats/parquet-rows.ts';
import { run } from '../commands/program.ts';
import { linesOf } from '../support/labelling.ts';
import { vllmLabels } from '../support/replay-labels.ts';
import { startTeacher, type Teacher } from '../support/replay-teacher.ts';

let folder = '';
let teacher: Teacher;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-examples-'));
  teacher = await startTeacher({ answer: vllmLabels });
});
afterAll(async () => {
  await teacher.close();
  rmSync(folder, { recursive: true });
});

async function labelled(name: string) {
  const config = `examples/label/${name}/label.yaml`;
  const [store, out] = [join(folder, 'store'), join(folder, name)];
  const args = ['label', '--config', config, '--url', teacher.url, '--store', store, '--out', out];
  const { code, stdout, stderr } = await run([...args, '--json']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const report = JSON.parse(stdout);
  for (const { dataset } of report.snapshots) {
    expect(await run(['verify', dataset, '--store', store])).toMatchObject({ code: 0 });
    expect(await run(['inspect', dataset, '--store', store])).toMatchObject({ code: 0 });
    const sample = await run(['inspect', dataset, '--sample', '0', '--store', store]);
    expect(sample).toMatchObject({ code: 0 });
  }
  const words = await run(args); // again: nothing is asked
  expect(words.stdout).toContain('0 requests in');
  return { report, out, words: words.stdout };
}

describe('the examples', () => {
  it('make a chat-bot set with soft targets and text', async () => {
    const { report, out, words } = await labelled('chat-bot');
    const { counts, sides, snapshots, usage } = report;
    expect(counts).toMatchObject({ prompts_read: 16, prompts: 15, responses: 60 });
    expect(counts.dropped['duplicate-prompt']).toBe(1);
    expect(usage.cost).toBeGreaterThan(0);
    expect(words).toMatch(/in all 60 requests, [\d,]+ \+ [\d,]+ tokens, 0\.\d{4} USD/);
    expect(words).toContain('16 prompts read, 15 asked, 1 like one before');
    const names = snapshots.map(({ dataset }: { dataset: string }) => dataset);
    expect(names).toEqual(['chat-bot-train', 'chat-bot-validation']);
    for (const { manifest } of snapshots) expect(manifest.target_sets).toHaveLength(1);
    const rows = linesOf(join(out, 'train.jsonl'));
    expect(rows).toHaveLength(sides.train);
    expect(rows[0].messages[0]).toMatchObject({ role: 'system' });
  });

  it('make a translation set of hard labels and text', async () => {
    const { report, out } = await labelled('translation');
    const { sides, snapshots } = report;
    expect(teacher.asked.at(-1)).not.toHaveProperty('logprobs');
    for (const { manifest } of snapshots) expect(manifest.target_sets).toEqual([]);
    const parquet = await openParquetRows(join(out, 'train.parquet'));
    const prompts: unknown[] = [];
    for await (const row of parquet.rows(['prompt.content'])) prompts.push(row['prompt.content']);
    await parquet.close();
    expect(prompts).toHaveLength(sides.train);
    expect(`${prompts[0]}`).toMatch(/^Translate to German, and give nothing but the translation: /);
  });
});
