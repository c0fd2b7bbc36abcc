import { describe, expect, it } from 'vitest';
import type { OrderDigest, PlanReply } from '../../web/src/types.ts';
import { chromiumPath, settled, useConsole } from '../support/console.ts';

describe.skipIf(chromiumPath === undefined)('plans in the console', () => {
  const at = useConsole();

  it('are made by a form, shown with their lines of Python, and proved', async () => {
    const page = await at.open('/plans/new');
    await page.getByLabel('Data set').selectOption('kept');
    await page.getByLabel('Share of an epoch').selectOption('proportion');
    await page.getByLabel('Amount').fill('3');
    await page.getByRole('button', { name: 'Add a stream' }).click();
    const second = page.getByRole('group', { name: 'Stream 2' });
    await second.getByLabel('Data set').selectOption('drawn');
    await second.getByLabel('Share of an epoch').selectOption('proportion');
    await page.getByLabel('Global batch').fill('4');
    await page.getByLabel('Seed').fill('18446744073709551615');
    await page.getByLabel('Shuffle').selectOption('block');
    await page.getByLabel('Block').fill('2');
    await page.getByLabel('A last step that is not full is').selectOption('drop');
    await page.getByRole('button', { name: 'Make the plan' }).click();
    await page.getByRole('heading', { name: 'Train on it' }).waitFor();
    const id = new URL(page.url()).pathname.replace('/plans/', '');
    const reply = (await (await fetch(`${at.url}/v1/plans/${id}`)).json()) as PlanReply;
    expect(reply.identity).toMatchObject({
      streams: [{ proportion: 3 }, { proportion: 1 }],
      seed: '18446744073709551615',
      shuffle: { mode: 'block', block: 2 },
      global_batch: 4,
      tail: 'drop',
    });
    const [byPlan, byArguments] = await page.locator('pre').allTextContents();
    expect(byPlan).toContain(`plan="${id}"`);
    expect(byArguments).toContain('shuffle_seed=18446744073709551615');
    const streams = page.getByRole('group', { name: 'Streams' }).locator('tbody tr');
    expect(await streams.first().textContent()).toContain('proportion 3');

    await page.getByLabel('to before step').fill('2');
    await page.getByRole('button', { name: 'Compute' }).click();
    const proof = `/v1/plans/${id}/epochs/0/digest?from=0&to=2`;
    const { digest } = (await (await fetch(`${at.url}${proof}`)).json()) as OrderDigest;
    await page.getByText(digest).waitFor();
    await page.getByLabel('to before step').fill('999999');
    await page.getByRole('button', { name: 'Compute' }).click();
    await page.getByRole('alert').waitFor();

    await page.getByRole('link', { name: 'Plans' }).first().click();
    await page.getByRole('link', { name: id.slice(0, 12) }).waitFor();
  });

  it('are refused with the server’s words, and mended', async () => {
    const page = await at.open('/plans/new?dataset=drawn&snapshot=latest');
    expect(await page.getByLabel('Data set').inputValue()).toBe('drawn');
    await page.getByLabel('Snapshot or tag').fill('nothing');
    await page.getByRole('button', { name: 'Make the plan' }).click();
    const refused = page.getByRole('alert');
    await expect.poll(() => refused.textContent()).toContain('no tag or snapshot `nothing`');
    await page.getByLabel('Snapshot or tag').fill('latest');
    await page.getByLabel('Seed').fill('-1');
    await page.keyboard.press('Enter');
    await expect.poll(() => refused.textContent()).toContain('`body.seed` is wrong');
    await page.getByLabel('Seed').fill('7');
    await page.getByLabel('Positions of a pack').fill('32');
    await page.getByLabel('At least to be learned').fill('2');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Train on it' }).waitFor();
    const lines = await page.locator('pre').last().textContent();
    expect(lines).toContain('packing={"length": 32, "window": 1024}');
    expect(lines).toContain('filter={"learned": {"min": 2}}');
  });

  it('drop streams that were added', async () => {
    const page = await at.open('/plans/new');
    await page.getByRole('button', { name: 'Add a stream' }).click();
    await page.getByRole('button', { name: 'Remove stream 1' }).click();
    await page.getByRole('button', { name: 'Make the plan' }).click();
    await page.getByRole('heading', { name: 'Train on it' }).waitFor();
    await settled(page);
    expect(await page.getByRole('group', { name: 'Streams' }).locator('tbody tr').count()).toBe(1);
  });
});
