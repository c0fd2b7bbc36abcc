import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { errors } from '../src/errors.ts';

const page = readFileSync('docs/errors.md', 'utf8');
const sources = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && name !== 'errors.ts')
  .map((name) => readFileSync(join('src', name), 'utf8'))
  .join('\n');

describe('error codes', () => {
  it('stand in docs/errors.md as they stand in src/errors.ts, and no others', () => {
    const documented = page
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .map((line) => line.slice(1, -1).split('|'))
      .map((cells) => cells.map((cell) => cell.trim()));
    const expected = Object.entries(errors).map(([code, [status, exit, retryable, meaning]]) => [
      `\`${code}\``,
      String(status),
      String(exit),
      retryable ? 'yes' : 'no',
      meaning,
    ]);
    expect(documented).toEqual(expected);
  });

  it('are the only ones that the Python client raises', () => {
    const raised = readdirSync('python/logitcask')
      .filter((name) => name.endsWith('.py'))
      .map((name) => readFileSync(join('python/logitcask', name), 'utf8'))
      .flatMap((text) => [...text.matchAll(/LogitcaskError\(\s*"([^"]+)"/g)])
      .map(([, code]) => code);
    expect(raised.length).toBeGreaterThan(0);
    expect(raised.filter((code) => !(code in errors))).toEqual([]);
  });

  it('are all used somewhere', () => {
    const unused = Object.keys(errors).filter((code) => !sources.includes(`'${code}'`));
    expect(unused).toEqual([]);
  });
});
