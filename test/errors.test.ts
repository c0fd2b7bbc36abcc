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
      .map((line) => line.slice(2, -2).split(' | '));
    const expected = Object.entries(errors).map(([code, [status, exit, retryable, meaning]]) => [
      `\`${code}\``,
      String(status),
      String(exit),
      retryable ? 'yes' : 'no',
      meaning,
    ]);
    expect(documented).toEqual(expected);
  });

  it('are all used somewhere', () => {
    const unused = Object.keys(errors).filter((code) => !sources.includes(`'${code}'`));
    expect(unused).toEqual([]);
  });
});
