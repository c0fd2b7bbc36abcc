/** Faults of a page that axe-core finds, in both schemes of colours. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Fault {
  id: string;
  impact: string;
  nodes: { html: string; failureSummary: string }[];
}

/** Serious and critical faults, in words. Evaluated, not inserted: the page's policy stands. */
export async function faults(page: Page): Promise<string[]> {
  if ((await page.evaluate('typeof axe')) === 'undefined') await page.evaluate(axe);
  const light = await run(page, '{ resultTypes: ["violations"] }');
  // the other colours change contrasts alone
  await page.emulateMedia({ colorScheme: 'dark' });
  const dark = await run(page, '{ resultTypes: ["violations"], runOnly: ["color-contrast"] }');
  await page.emulateMedia({ colorScheme: 'light' });
  return [...light, ...dark.map((fault) => `dark: ${fault}`)];
}

async function run(page: Page, options: string): Promise<string[]> {
  const result = await page.evaluate(`axe.run(document, ${options})`);
  return (result as { violations: Fault[] }).violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) =>
      nodes.slice(0, 3).map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
    );
}
