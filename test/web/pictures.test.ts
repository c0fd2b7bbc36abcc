/** The README's pictures, of the quickstart's data: `npm run pictures`. */
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { build } from '../../src/build.ts';
import { chromiumPath, settled, useConsole } from '../support/console.ts';
import { configOf } from '../support/dump.ts';

const { PICTURES: folder } = process.env;
const bytesMax = 200_000;

describe.skipIf(folder === undefined || chromiumPath === undefined)('pictures', () => {
  const at = useConsole({
    async fill(path) {
      const shared = { store: join(path, 'store'), reference: { positions: 512 } };
      const source = { type: 'ngram', samples: 240 };
      await build(configOf({ ...shared, dataset: 'quickstart', source }), { dataFolder: 'data' });
    },
  });

  async function take(page: Page, name: string): Promise<void> {
    const path = join(folder as string, `${name}.png`);
    mkdirSync(folder as string, { recursive: true });
    await page.screenshot({ path });
    expect(statSync(path).size).toBeLessThan(bytesMax);
  }

  const snapshot = '/datasets/quickstart/snapshots/latest';

  it('of a snapshot and of the list', async () => {
    const page = await at.open(snapshot);
    await page.locator('#audit').click();
    await page.getByRole('button', { name: 'Audit again' }).and(page.locator(':enabled')).waitFor();
    await page.locator('canvas').first().waitFor();
    await page.evaluate('document.getElementById("audit-title").scrollIntoView()');
    await take(page, 'snapshot');
    await page.goto(`${at.url}/`);
    await settled(page);
    await page.setViewportSize({ width: 1280, height: 330 });
    await take(page, 'datasets');
  });

  it('of the sample browser, in the dark', async () => {
    const page = await at.open(`${snapshot}/samples?at=3`, { scheme: 'dark' });
    const token = page.locator('.strip button[data-heat="3"]').nth(4);
    await token.click();
    await page.getByRole('heading', { name: 'Position' }).waitFor();
    await take(page, 'samples');
  });

  it('of the form that makes a plan', async () => {
    const page = await at.open('/plans/new?dataset=quickstart&snapshot=latest');
    await page.getByLabel('Positions of a pack').fill('2048');
    await page.getByLabel('At least to be learned').fill('16');
    await page.setViewportSize({ width: 1280, height: 1010 });
    await take(page, 'new-plan');
  });
});
