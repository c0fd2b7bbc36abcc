import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { positionsOf } from '../../web/src/samples/position.ts';
import type { RowsReply } from '../../web/src/types.ts';
import { chromiumPath, settled, useConsole } from '../support/console.ts';

const tokenButtons = (page: Page) =>
  page.getByRole('group', { name: 'Tokens of' }).locator('button');

describe.skipIf(chromiumPath === undefined)('the sample browser', () => {
  const at = useConsole();
  const path = (dataset: string, sample = 0) =>
    `/datasets/${dataset}/snapshots/latest/samples?at=${sample}`;

  async function positions(dataset: string, sample = 0) {
    const rows = `/v1/datasets/${dataset}/snapshots/latest/rows?offset=${sample}&length=1`;
    const { rows: found } = (await (await fetch(`${at.url}${rows}`)).json()) as RowsReply;
    return positionsOf(found[0], found[0].targets.teacher, { labelSpace: 8192 });
  }

  it('shows the text, each token as a button that tells its number', async () => {
    const page = await at.open(path('kept', 2));
    const known = await positions('kept', 2);
    const buttons = tokenButtons(page);
    expect(await buttons.count()).toBe(24);
    const text = (await buttons.allTextContents()).join('').replaceAll('↵', '');
    expect(text).toContain('there was light.\nIn the beginning God created');
    const third = await buttons.nth(3).getAttribute('aria-label');
    const surprise = Number((known[3].surprise as number).toPrecision(3));
    expect(third).toContain(`position 3, surprise ${surprise} nats`);
    expect(await buttons.nth(3).getAttribute('title')).toBe(third);
    await page.getByLabel('entropy: how open').check();
    const entropy = Number((known[3].entropy as number).toPrecision(3));
    const later = await buttons.nth(3).getAttribute('aria-label');
    expect(later).toContain(`position 3, entropy ${entropy} nats`);
    expect(await buttons.last().getAttribute('aria-label')).toContain('masked');
  });

  it('shows the stored distribution of a token that is clicked', async () => {
    const page = await at.open(path('kept'));
    const [, position] = await positions('kept');
    await tokenButtons(page).nth(1).click();
    const shown = page.getByRole('region', { name: 'Stored distribution' });
    await shown.getByRole('heading', { name: 'Position 1' }).waitFor();
    const rows = shown.locator('tbody tr');
    // twenty entries, the others, the rest, and the token that came where it is none of the twenty
    const isShown = position.entries.slice(0, 20).some(({ id }) => id === position.label);
    expect(await rows.count()).toBe(isShown ? 22 : 23);
    const first = await rows.first().locator('td').first().textContent();
    expect(Number(first)).toBeCloseTo(position.entries[0].p, 2);
    const rest = rows.filter({ hasText: 'rest: not stored' });
    const mass = await rest.locator('td').first().textContent();
    expect(Number(mass)).toBeCloseTo(position.rest as number, 2);
    const label = rows.filter({ hasText: 'came next' });
    expect(await label.count()).toBe(1);
    const next = await tokenButtons(page).nth(2).textContent();
    const named = await label.locator('th').textContent();
    expect(named?.replaceAll('␣', ' ').replace(/ \(.*\)$/, '')).toBe(next);
  });

  it('is used with the keyboard alone', async () => {
    const page = await at.open(path('kept'));
    const focused = () => page.evaluate('document.activeElement.getAttribute("aria-label")');
    await tokenButtons(page).first().focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    expect(await focused()).toContain('position 2,');
    await page.keyboard.press('End');
    expect(await focused()).toContain('position 23,');
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowDown');
    const below = (await focused()) as string;
    expect(Number(/position (\d+)/.exec(below)?.[1])).toBeGreaterThan(3);
    await page.keyboard.press('ArrowUp');
    expect(await focused()).toContain('position 0,');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Position 0' }).waitFor();
    await page.keyboard.press('Shift+Tab'); // one stop for all tokens
    expect(await page.evaluate('document.activeElement.name')).toBe('measure');
  });

  it('goes from sample to sample, and stays on the link', async () => {
    const page = await at.open(path('kept'));
    await page.locator('#next').focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Sample 1 of kept' }).waitFor();
    expect(await page.evaluate('document.activeElement.id')).toBe('next');
    await page.getByLabel('Sample', { exact: true }).fill('7');
    await page.getByRole('button', { name: 'Go', exact: true }).click();
    await page.getByRole('heading', { name: 'Sample 7 of kept' }).waitFor();
    expect(await page.locator('#next').count()).toBe(0);
    expect(new URL(page.url()).search).toBe('?at=7');
    await page.goto(`${at.url}${path('kept', 99)}`);
    await settled(page);
    await page.getByText('There is no sample 99; the last one is 7.').waitFor();
  });

  it('says that unbiased targets are weights, without rest', async () => {
    const page = await at.open(path('drawn'));
    await tokenButtons(page).nth(4).click();
    const shown = page.getByRole('region', { name: 'Stored distribution' });
    await shown.getByText('Weights drawn without bias').waitFor();
    expect(await shown.getByRole('columnheader', { name: 'Weight' }).count()).toBe(1);
    expect(await shown.getByText('rest: not stored').count()).toBe(0);
  });
});
