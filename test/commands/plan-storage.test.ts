import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { writeDump } from '../support/dump.ts';
import { writeNpz } from '../support/npz.ts';
import { listsOf, npzMembers } from '../support/top-lists.ts';
import { elementsOf } from '../support/xml.ts';
import { run } from './program.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-cli-plan-storage-'));
afterAll(() => rmSync(folder, { recursive: true }));

const dump = writeDump(folder, { positions: 200, vocabulary: 300, sampleLength: 50 });
const files = ['--logits', join(folder, 'logits.npy'), '--tokens', join(folder, 'tokens.npy')];
const args = ['plan-storage', ...files, '--sample-length', '50'];

describe('logitcask plan-storage', () => {
  it('says what each choice costs, what others take, and what to do; stores nothing', async () => {
    const before = readdirSync(folder);
    const ended = await run([...args, '--positions', '1000000']);
    expect(ended).toMatchObject({ code: 0 });
    expect(ended.stdout).toContain('200 positions in 4 samples measured, V = 300');
    expect(ended.stdout).toMatch(/^ {2}[* ] top-k 64 +fine +\d+\.\d +\d+\.\d +\d+\.\d +\d+.* MB /m);
    expect(ended.stdout).toMatch(/^ {2}[* ] threshold τ=0.02 +standard /m);
    expect(ended.stdout).toMatch(/int32 \+ float32 top-64 +512\.0 +519 MB/);
    expect(ended.stdout).toMatch(/50 random draws × 24 bits +\d+\.\d +\d+.* MB +variance \d/);
    expect(ended.stdout).toMatch(/Recommendation\n {2}threshold τ=\d.* \(build --tau \d/);
    for (const line of ended.stdout.split('\n')) expect([...line].length).toBeLessThan(101);
    expect(readdirSync(folder)).toEqual(before);
  });

  it('prints one JSON object and nothing else with --json', async () => {
    const { code, stdout } = await run([...args, '--json', '--temperatures', '2,4']);
    expect(code).toBe(0);
    expect(stdout.trim().split('\n')).toHaveLength(1);
    const plan = JSON.parse(stdout);
    expect(plan).toMatchObject({ vocabulary: 300, positions: 200, beside: { logZ: 8 } });
    const [choice] = plan.choices;
    expect(choice.cost).toBe(Math.round(200 * (choice.bytes.zstd + plan.besideTargets)));
    expect(plan.others[0]).toEqual({ name: 'whole distributions, float32', bytes: 1200 });
    expect(plan.advice.unbiased).toBe(null);
  });

  it('leaves unbiased targets out for top lists, and says why', async () => {
    const lists = join(folder, 'lists.npz');
    writeNpz(lists, npzMembers(listsOf(dump, 20)));
    const { code, stdout } = await run(['plan-storage', '--logits', lists]);
    expect(code).toBe(0);
    expect(stdout).toContain('`threshold` draws from whole distributions');
    expect(stdout).not.toContain('τ=');
    expect(stdout).toContain('top-k 32');
    expect(stdout).not.toContain('top-k 64 ');
  });

  it('draws a picture, and none over another file', async () => {
    const svg = join(folder, 'pictures', 'storage.svg');
    const first = await run([...args, '--svg', svg]);
    expect(first.stdout).toContain(`Picture\n  ${svg}`);
    const drawn = readFileSync(svg, 'utf8');
    expect(elementsOf(drawn)[0]).toBe('svg');
    expect(drawn).toContain('threshold, step standard');
    const second = await run([...args, '--svg', svg]);
    expect(second).toMatchObject({ code: 1, stdout: '' });
    expect(second.stderr).toContain('code: store-exists');
    expect(readFileSync(svg, 'utf8')).toBe(drawn);
    expect(readdirSync(join(folder, 'pictures'))).toEqual(['storage.svg']);
  });

  it.each([
    ['a dump that is not there', ['--logits', 'none.npy', '--tokens', 'none.npy'], 'source-unread'],
    ['too few positions to measure', [...files, '--sample-positions', '99'], 'request-invalid'],
    ['no positions', [...files, '--positions', '0'], 'request-invalid'],
    ['a flag of a build that it chooses itself', [...files, '--k', '3'], 'request-invalid'],
  ])('refuses %s', async (_, wrong, error) => {
    const svg = join(folder, 'refused.svg');
    const ended = await run(['plan-storage', ...wrong, '--svg', svg]);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain(`code: ${error}`);
    expect(existsSync(svg)).toBe(false);
  });

  it('refuses a dump that is too short', async () => {
    const place = mkdtempSync(join(folder, 'short-'));
    writeDump(place, { positions: 40, vocabulary: 30, sampleLength: 20 });
    const [logits, tokens] = [join(place, 'logits.npy'), join(place, 'tokens.npy')];
    const config = join(place, 'build.yaml');
    writeFileSync(config, JSON.stringify({ source: { type: 'dump', logits, tokens } }));
    const ended = await run(['plan-storage', '--config', config]);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain('40 positions are too few');
  });
});

/** Text with its numbers apart. */
function parted(text: string): { words: string; numbers: number[] } {
  const number = /-?\d+(?:\.\d+)?(?:e-?\d+)?/g;
  return { words: text.replace(number, '#'), numbers: [...text.matchAll(number)].map(Number) };
}

it('docs/storage.svg and the table beside it are what the documented command makes', async () => {
  const page = readFileSync('docs/sparsifiers.md', 'utf8');
  const [, command] = /^logitcask (plan-storage --logits test\/golden.*)$/m.exec(page) ?? [];
  const svg = join(folder, 'docs.svg');
  const words = command.split(' ').map((word) => (word === 'docs/storage.svg' ? svg : word));
  const { stdout } = await run(words);
  const [made, kept] = [svg, 'docs/storage.svg'].map((file) => parted(readFileSync(file, 'utf8')));
  expect(made.words).toBe(kept.words);
  // a pixel: sums may round differently elsewhere
  made.numbers.forEach((value, i) => {
    expect(Math.abs(value - kept.numbers[i])).toBeLessThan(1);
  });
  const shown = stdout.split('\n').map(parted);
  const rows = page.split('\n').filter((line) => /^ {2}[* ] (top-[kp]|threshold) /.test(line));
  expect(rows.length).toBeGreaterThan(9);
  for (const row of rows) {
    const told = parted(row);
    const same = shown.filter(({ words }) => words === told.words);
    const near = same.some(({ numbers }) =>
      numbers.every((value, i) => Math.abs(value / told.numbers[i] - 1) < 0.02),
    );
    expect(near, row).toBe(true);
  }
});
