import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommanderError } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AuditReport, auditReport } from '../../schemas/audit.ts';
import { type BuildReport, build } from '../../src/build.ts';
import type { CommandContext } from '../../src/commands/command.ts';
import { createProgram } from '../../src/commands/program.ts';
import { asLogitcaskError, errors } from '../../src/errors.ts';
import { filePath } from '../../src/shard/names.ts';
import { configOf } from '../support/dump.ts';
import { elementsOf } from '../support/xml.ts';
import { run } from './program.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-audit-'));
const store = join(folder, 'store');
afterAll(() => rmSync(folder, { recursive: true }));

const golden = 'test/golden/logits/small-lm-rows0-511';

async function built(dataset: string, sparsifier: object): Promise<BuildReport> {
  const source = {
    type: 'dump',
    logits: `${golden}.f16.npy`,
    tokens: `${golden}.tokens.npy`,
    sample_length: 64,
  };
  const reference = { positions: 400, entries: 300 };
  const config = configOf({ store, dataset, source, sparsifier, reference });
  return build(config, { dataFolder: 'data' });
}

let scaled: BuildReport;
beforeAll(async () => {
  scaled = await built('scaled', { type: 'top-k', k: 32 });
  await built('drawn', { type: 'threshold', tau: 0.02 });
});

/** The verb in this process, whose results are kept; as `cli.ts` runs it. */
async function audit(...args: string[]) {
  const ended = { code: 0, stdout: '', notes: '', error: '' };
  const context: CommandContext = {
    print: (text) => {
      ended.stdout += `${text}\n`;
    },
    note: (text) => {
      ended.notes += `${text}\n`;
    },
    isTerminal: false,
    dataFolder: 'data',
    configInput: async (flags) => ({ flags, environment: {} }),
    stopSignal: () => new AbortController().signal,
    exitCode: 0,
  };
  try {
    const program = await createProgram(context);
    await program.parseAsync(['audit', ...args, '--store', store], { from: 'user' });
    ended.code = context.exitCode;
  } catch (thrown) {
    const misused = thrown instanceof CommanderError;
    const code = misused ? 'request-invalid' : asLogitcaskError(thrown).code;
    ended.error = code;
    ended.code = errors[code][1];
  }
  return ended;
}

const thresholds = ({ findings }: AuditReport) =>
  findings.filter(({ section }) => section === 'threshold').map(({ code }) => code);

describe('logitcask audit', () => {
  it('tells everything in text, without an escape code where there is no terminal', async () => {
    const { code, stdout } = await run(['audit', 'scaled', '--store', store]);
    expect({ code, faults: /FAULT.*/.exec(stdout)?.[0] }).toEqual({ code: 0, faults: undefined });
    for (const words of ['Size', 'Integrity', 'Alignment', 'Coverage', 'Findings', 'Verdict']) {
      expect(stdout).toContain(`\n${words}`);
    }
    expect(stdout).toContain(`audit of snapshot ${scaled.snapshot}`);
    expect(stdout).toMatch(/--k 16 --step \S+ +\d+\.\d B +saves /);
    expect(stdout).toContain('best at 0');
    expect(stdout).not.toContain('\u001b');
  });

  it('is one report with --json, of the documented form, with costs where prices are given', async () => {
    const prices = ['--storage-price', '0.02', '--egress-price', '0.1', '--currency', 'EUR'];
    const { code, stdout } = await audit('scaled', '--json', ...prices);
    expect(code).toBe(0);
    const report = auditReport.parse(JSON.parse(stdout));
    expect(report).toMatchObject({ dataset: 'scaled', snapshot: scaled.snapshot, partial: false });
    const { cost, bytes } = report.size;
    expect(cost?.currency).toBe('EUR');
    expect(cost?.per_month).toBeCloseTo((bytes / 1e9) * 0.02, 12);
    expect(report.size.savings.sampled_positions).toBe(512);
    const kept = JSON.parse(
      readFileSync(join(store, 'scaled', 'audits', `${scaled.snapshot}.json`), 'utf8'),
    );
    expect(kept.size.cost).toBe(null);
  });

  it('ends with 1 where a threshold is missed, and keeps that to the run', async () => {
    const { code, stdout } = await audit(
      'scaled',
      '--json',
      ...['--max-bytes-per-position', '1'],
      ...['--min-mass', '1'],
    );
    expect(code).toBe(1);
    expect(thresholds(JSON.parse(stdout))).toEqual(['threshold-mass', 'threshold-bytes']);
    const met = await audit('scaled', '--max-bytes-per-position', '1e3', '--min-mass', '0.1');
    expect(met.code).toBe(0);
    const told = await audit('scaled', '--max-bytes-per-position', '1');
    expect(told.code).toBe(1);
    expect(told.stdout).toMatch(/FAULT targets take more .*\(threshold-bytes, threshold\)/);
  });

  it('writes a page, and none over another file', async () => {
    const html = join(folder, 'pages', 'report.html');
    const first = await audit('scaled', '--html', html);
    expect(first.code).toBe(0);
    expect(first.stdout).toContain(`Report\n  ${html}`);
    const page = readFileSync(html, 'utf8');
    const elements = elementsOf(page.replace('<!doctype html>\n', ''));
    expect(elements).toContain('svg');
    expect(elements).not.toContain('script');
    const second = await audit('scaled', '--html', html);
    expect(second).toMatchObject({ code: 1, stdout: '' });
    expect(second.error).toBe('store-exists');
    expect(readFileSync(html, 'utf8')).toBe(page);
  });

  it.each([
    ['a data set that is not there', ['none'], 'dataset-not-found'],
    ['a snapshot that is not there', ['scaled', 'v9'], 'snapshot-not-found'],
    ['to hold draws to a KL', ['drawn', '--max-kl', '1'], 'request-invalid'],
    ['a KL that is no number', ['scaled', '--max-kl', 'low'], 'request-invalid'],
    ['a mass above 1', ['scaled', '--min-mass', '1.1'], 'request-invalid'],
    ['a negative price', ['scaled', '--egress-price=-1'], 'request-invalid'],
    ['a bandwidth in other units', ['scaled', '--bandwidth', '5MiB'], 'request-invalid'],
    ['another set that is no name', ['scaled', '--against', 'a:b:c'], 'request-invalid'],
    ['another set that is not there', ['scaled', '--against', 'none'], 'dataset-not-found'],
  ])('refuses %s with exit code 2', async (_, args, error) => {
    expect(await audit(...args)).toMatchObject({ code: 2, stdout: '', error });
  });

  it('measures the drift from another target set', async () => {
    const same = await audit('scaled', '--json', '--against', `scaled@${scaled.snapshot}:teacher`);
    expect(same.error).toBe('');
    const { drift } = JSON.parse(same.stdout);
    expect(drift).toMatchObject({ top1: 1, samples: { both: 8, before_only: 0, after_only: 0 } });
    expect(drift.kl.max).toBeLessThan(1e-6);
    const text = await audit('scaled', '--against', 'scaled');
    expect(text.stdout).toContain('KL(before ‖ after), nats');
  });

  it('ends with 1 where a shard is damaged, and names it', async () => {
    const { manifest } = await built('damaged', { type: 'top-k', k: 32 });
    const shard = manifest.files.find(({ role }) => role === 'shard')?.name ?? '';
    const path = join(store, filePath('damaged', shard));
    const bytes = readFileSync(path);
    bytes[bytes.length >> 1] ^= 1;
    writeFileSync(path, bytes);
    const { code, stdout } = await audit('damaged');
    expect(code).toBe(1);
    expect(stdout).toContain(`${shard}: `);
    expect(stdout).toContain('Verdict: ');
  });
});
