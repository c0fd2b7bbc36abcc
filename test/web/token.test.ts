import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { chromiumPath, settled, useConsole } from '../support/console.ts';

const token = 'correct-horse';
const sha256 = createHash('sha256').update(token).digest('hex');

describe.skipIf(chromiumPath === undefined)('a server that wants tokens', () => {
  const at = useConsole({
    config: { tokens: [{ name: 'someone', sha256, scopes: ['read'] }] },
  });

  it('is asked with the one typed in, for as long as the tab is open', async () => {
    const page = await at.open('/');
    await page.getByRole('heading', { name: 'This server wants a token' }).waitFor();
    const field = page.getByLabel('Token with the scope read');
    await field.fill('wrong');
    await page.keyboard.press('Enter');
    await expect.poll(() => field.inputValue()).toBe('');
    await field.fill(token);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Data sets' }).waitFor();
    await page.getByRole('heading', { name: 'kept' }).waitFor();
    await page.reload();
    await settled(page);
    expect(await page.getByRole('heading', { name: 'Data sets' }).count()).toBe(1);
    const kept = await page.evaluate('[Object.values(sessionStorage), document.cookie]');
    expect(kept).toEqual([[token], '']);
    const other = await at.open('/');
    expect(await other.getByLabel('Token with the scope read').count()).toBe(1);
  });
});
