import { describe, expect, it } from 'vitest';
import { postPlan } from '../fixtures.ts';
import { faults } from '../support/axe.ts';
import { chromiumPath, settled, useConsole } from '../support/console.ts';

describe.skipIf(chromiumPath === undefined)('no page has a serious fault, light or dark', () => {
  const at = useConsole();

  it('of a snapshot, audited', async () => {
    const page = await at.open('/datasets/kept/snapshots/latest');
    await page.locator('#audit').click();
    await page.getByRole('button', { name: 'Audit again' }).and(page.locator(':enabled')).waitFor();
    await page.locator('canvas').first().waitFor();
    for (const details of await page.locator('summary').all()) await details.click();
    expect(await faults(page)).toEqual([]);
  });

  it('of samples, with a distribution', async () => {
    const page = await at.open('/datasets/kept/snapshots/latest/samples');
    await page.locator('.strip button').nth(3).click();
    await page.getByRole('heading', { name: 'Position 3' }).waitFor();
    expect(await faults(page)).toEqual([]);
  });

  it('of data sets, builds and plans', async () => {
    const { plan } = (await postPlan(at.url, 'kept')).json();
    const page = await at.open('/');
    for (const path of ['/', '/builds', '/plans', `/plans/${plan}`, '/plans/nothing/here']) {
      if (path !== '/') await page.goto(at.url + path);
      await settled(page);
      expect(await faults(page), path).toEqual([]);
    }
  });

  it('of the form that makes a plan, refused', async () => {
    const page = await at.open('/plans/new');
    await page.getByLabel('Snapshot or tag').fill('nothing');
    await page.getByRole('button', { name: 'Make the plan' }).click();
    await page.getByRole('alert').waitFor();
    expect(await faults(page)).toEqual([]);
  });
});
