import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { postPlan } from '../fixtures.ts';
import { chromiumPath, settled, useConsole } from '../support/console.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Fault {
  id: string;
  impact: string;
  nodes: { html: string; failureSummary: string }[];
}

/** Serious and critical faults, in words. Evaluated, not inserted: the page's policy stands. */
async function faults(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  const { violations } = (await page.evaluate('axe.run(document)')) as { violations: Fault[] };
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) =>
      nodes.slice(0, 3).map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
    );
}

describe.skipIf(chromiumPath === undefined)('for everybody', () => {
  const at = useConsole();

  it.each(['light', 'dark'] as const)('no page has a serious fault, %s', async (scheme) => {
    const { plan } = (await postPlan(at.url, 'kept')).json();
    const page = await at.open('/datasets/kept/snapshots/latest', { scheme });
    await page.locator('#audit').click();
    await page.getByRole('button', { name: 'Audit again' }).and(page.locator(':enabled')).waitFor();
    await page.locator('canvas').first().waitFor();
    for (const details of await page.locator('summary').all()) await details.click();
    expect(await faults(page)).toEqual([]);

    await page.goto(`${at.url}/datasets/kept/snapshots/latest/samples`);
    await settled(page);
    await page.locator('.strip button').nth(3).click();
    await page.getByRole('heading', { name: 'Position 3' }).waitFor();
    expect(await faults(page)).toEqual([]);

    for (const path of ['/', '/builds', '/plans', `/plans/${plan}`, '/plans/new', '/none']) {
      await page.goto(at.url + path);
      await settled(page);
      if (path === '/plans/new') {
        await page.getByLabel('Snapshot or tag').fill('nothing');
        await page.getByRole('button', { name: 'Make the plan' }).click();
        await page.getByRole('alert').waitFor();
      }
      expect(await faults(page), path).toEqual([]);
    }
  });
});
