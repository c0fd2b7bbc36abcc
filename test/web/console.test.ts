import { describe, expect, it } from 'vitest';
import { resolveSnapshot, writeBuildStatus } from '../../src/shard/snapshot.ts';
import { number } from '../../web/src/format.ts';
import { chromiumPath, settled, useConsole } from '../support/console.ts';

describe.skipIf(chromiumPath === undefined)('the console', () => {
  const at = useConsole();

  it('lists data sets at a glance, and leads to a snapshot without reloading', async () => {
    const page = await at.open('/');
    const rows = page.getByRole('row');
    const kept = rows.filter({ hasText: 'KL' });
    const drawn = rows.filter({ hasText: 'weights sum to' });
    const { manifest } = await resolveSnapshot(at.store, 'kept', 'latest');
    await expect.poll(() => kept.textContent()).toContain('best at shift 0');
    const { samples, positions, bytes } = manifest.totals;
    for (const text of [samples, positions, number(bytes / positions)]) {
      expect(await kept.textContent()).toContain(String(text));
    }
    expect(await kept.textContent()).toContain('not audited');
    expect(await drawn.count()).toBe(1);
    await page.evaluate(() => Object.assign(globalThis, { same: true }));
    await page.getByRole('link', { name: 'kept, latest' }).click();
    await page.getByRole('heading', { name: 'kept, latest' }).waitFor();
    expect(await page.evaluate(() => 'same' in globalThis)).toBe(true);
    expect(await page.title()).toBe('kept, latest – logitcask');
    await page.goBack();
    await page.getByRole('heading', { name: 'Data sets' }).waitFor();
  });

  it('audits a snapshot with progress, and shows the report', async () => {
    const page = await at.open('/datasets/kept/snapshots/latest');
    await page.getByText('Not audited yet.').waitFor();
    await page.getByRole('button', { name: 'Audit this snapshot' }).click();
    await page.getByRole('button', { name: 'Audit again' }).and(page.locator(':enabled')).waitFor();
    for (const name of ['Findings', 'Size', 'Integrity', 'Coverage', 'Fidelity of teacher']) {
      expect(await page.getByRole('region', { name, exact: true }).count(), name).toBe(1);
    }
    const report = (await (
      await fetch(`${at.url}/v1/datasets/kept/snapshots/latest/audit`)
    ).json()) as { fidelity: { entropy: { counts: number[] } }[] };
    const chart = page.locator('figure', { hasText: 'Entropy by position' });
    await chart.locator('canvas').waitFor();
    await chart.getByText('Numbers').click();
    const numbers = await chart.locator('tbody td').allTextContents();
    expect(numbers.map((text) => Number(text.replaceAll(',', '')))).toEqual(
      report.fidelity[0].entropy.counts,
    );
    expect(await page.locator('canvas').count()).toBeGreaterThanOrEqual(5);
    await page.goto(`${at.url}/`);
    const row = page.getByRole('row').filter({ hasText: 'KL' });
    await expect.poll(() => row.textContent()).toMatch(/no findings|warning|fault/);
  });

  it('shows running builds, and follows them', async () => {
    const build = 'feedfacefeedface';
    const status = {
      state: 'running' as const,
      snapshot: null,
      shards: 1,
      error: null,
      positionsTotal: 8000,
    };
    const write = (positions: number) =>
      writeBuildStatus(at.store, 'kept', {
        ...status,
        build,
        samples: 4,
        positions,
        updatedMs: Date.now(),
      });
    await write(1000);
    const page = await at.open('/builds');
    const running = page.getByRole('region', { name: 'Running' });
    expect(await running.textContent()).toContain('1,000 of 8,000');
    await write(5000);
    await expect.poll(() => running.textContent(), { timeout: 5000 }).toContain('5,000 of 8,000');
    expect(await running.getByRole('progressbar').getAttribute('value')).toBe('0.625');
    await expect.poll(() => running.textContent()).toMatch(/[\d,]+ positions?\/s/);
    const ended = page.getByRole('region', { name: 'Ended' });
    expect(await ended.getByText('complete').count()).toBe(2);
    await at.store.remove(`kept/builds/${build}.json`);
  });

  it('says what is missing, and keeps the frame', async () => {
    const page = await at.open('/datasets/kept/snapshots/none');
    expect(await page.getByRole('alert').textContent()).toContain('snapshot-not-found');
    await page.getByRole('link', { name: 'Plans' }).click();
    await page.getByRole('heading', { name: 'Plans' }).waitFor();
    await page.goto(`${at.url}/plans/nothing/here`);
    await page.getByRole('heading', { name: 'There is no such page' }).waitFor();
  });

  it('takes its colours from the system, or as chosen, also after a reload', async () => {
    const page = await at.open('/', { scheme: 'dark' });
    const ground = () => page.evaluate('getComputedStyle(document.body).backgroundColor');
    expect(await ground()).toBe('rgb(20, 23, 26)');
    await page.getByLabel('Colours').selectOption('light');
    expect(await ground()).toBe('rgb(250, 250, 248)');
    await page.reload();
    await settled(page);
    expect(await ground()).toBe('rgb(250, 250, 248)');
  });

  it('takes texts of users as texts', async () => {
    const page = await at.open('/datasets/kept/snapshots/latest/samples');
    const evil = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
    await page.route('**/rows?*', async (route) => {
      const reply = await route.fetch();
      const { rows, total } = await reply.json();
      rows[0].text[0] = evil;
      rows[0].meta = { source: evil };
      await route.fulfill({ json: { rows, total } });
    });
    await page.reload();
    await settled(page);
    expect(await page.locator('.strip button').first().textContent()).toBe(evil);
    expect(await page.locator('main img, main script').count()).toBe(0);
    expect(await page.title()).toBe('Sample 0 of kept – logitcask');
  });

  it('says that the server cannot be reached where that is so, and nowhere else', async () => {
    const page = await at.open('/');
    await page.route('**/v1/plans?*', (route) => route.fulfill({ json: { next: null } }));
    await page.getByRole('link', { name: 'Plans' }).click();
    const alert = page.getByRole('alert');
    await alert.waitFor();
    expect(await alert.textContent()).not.toContain('the server cannot be reached');
    await page.evaluate('globalThis.fetch = async () => { throw new TypeError("gone") }');
    await page.getByRole('link', { name: 'Builds' }).click();
    await alert.getByText('request: the server cannot be reached').waitFor();
  });

  it('shows a snapshot whose audit is refused, and tells whether one waits or runs', async () => {
    const page = await at.open('/datasets/drawn/snapshots/latest');
    const refusal = { code: 'build-running', detail: 'audit: another process audits it' };
    const problem = { ...refusal, status: 409, expected: null, got: null, retryable: true };
    let answer = { status: 409, contentType: 'application/problem+json', json: problem as object };
    await page.route('**/audit', (route) => route.fulfill(answer));
    await page.reload();
    await settled(page);
    await page.getByRole('heading', { name: 'drawn, latest' }).waitFor();
    const section = page.getByRole('region', { name: 'Audit' });
    await expect.poll(() => section.getByRole('alert').textContent()).toContain('build-running');
    answer = {
      ...answer,
      status: 202,
      contentType: 'application/json',
      json: { state: 'waiting' },
    };
    await section.getByRole('button', { name: 'Audit this snapshot' }).click();
    await section.getByText('The audit waits for its turn').waitFor();
    answer = { ...answer, json: { state: 'running' } };
    await section.getByText('The audit runs').waitFor();
    await page.unrouteAll();
  });

  it('shows findings, faults by mark and word, their messages as texts', async () => {
    const page = await at.open('/datasets/drawn/snapshots/latest');
    await page.locator('#audit').click();
    await page.getByRole('region', { name: 'Integrity' }).waitFor();
    const message = 'alignment: <b>shift</b> +1 is best';
    const about = { section: 'alignment', target_set: 'teacher', expected: 0, got: 1 };
    const finding = { code: 'shifted', severity: 'fault', message, ...about };
    const shown: object[] = [];
    await page.route('**/audit', async (route) => {
      const report = await (await route.fetch()).json();
      await route.fulfill({ json: { ...report, findings: shown } });
    });
    await page.reload();
    await page.getByText('no findings: the audit blesses this snapshot').waitFor();
    shown.push(finding);
    await page.reload();
    await settled(page);
    const findings = page.getByRole('region', { name: 'Findings' });
    expect(await findings.textContent()).toContain(
      `✕ fault shifted (alignment, teacher) ${message}`,
    );
    expect(await page.getByRole('heading', { name: 'Audit' }).textContent()).toContain('1 fault');
  });

  it('is small: under 150 KB gzipped, all of it', async () => {
    const page = await at.open('/datasets/kept/snapshots/latest');
    await page.goto(`${at.url}/plans/new`);
    await settled(page);
    expect(at.sizes.size).toBeGreaterThanOrEqual(4);
    const all = [...at.sizes.values()].reduce((sum, bytes) => sum + bytes, 0);
    expect(all).toBeLessThan(150_000);
  });
});
