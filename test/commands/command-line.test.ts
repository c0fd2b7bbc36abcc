import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { problem } from '../../schemas/http.ts';
import type { CommandContext } from '../../src/commands/command.ts';
import { createProgram } from '../../src/commands/program.ts';
import { errors } from '../../src/errors.ts';
import { filesOf, run } from './program.ts';

const unused = () => {
  throw new Error('only the description of the program is looked at');
};
const context: CommandContext = {
  print: unused,
  note: unused,
  isTerminal: false,
  dataFolder: '',
  configInput: unused,
  stopSignal: unused,
  exitCode: 0,
};
/** `build`, or of a verb with parts `plan create`. */
interface Verb {
  readonly name: string;
  readonly command: Command;
}
const top: readonly Command[] = (await createProgram(context)).commands;
const verbs: readonly Verb[] = top.flatMap((command) =>
  command.commands.length === 0
    ? [{ name: command.name(), command }]
    : command.commands.map((part) => ({
        name: `${command.name()} ${part.name()}`,
        command: part as Command,
      })),
);

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-cli-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('help', () => {
  it.each(verbs)('of $name explains every flag by an example', async ({ name, command }) => {
    const { code, stdout, stderr } = await run([...name.split(' '), '--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(new RegExp(`Example:\n  logitcask ${name}`));
    for (const { long, description } of command.options) {
      expect(stdout).toContain(long);
      expect(description).not.toBe('');
    }
  });

  it('lists every verb, and is what a missing verb is answered with', async () => {
    const { code, stdout } = await run(['--help']);
    expect(code).toBe(0);
    for (const verb of top) expect(stdout).toContain(`  ${verb.name()} `);
    const bare = await run([]);
    expect(bare).toMatchObject({ code: 2, stdout: '' });
    expect(bare.stderr).toContain(stdout.trim());
  });

  it('has the version of the package', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
    expect(await run(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });
});

describe('docs/cli.md', () => {
  const page = readFileSync('docs/cli.md', 'utf8');

  it('has a section a verb and names every flag of it, and no other', () => {
    const sections = page.split(/^## /m).slice(1);
    expect(sections.map((text) => text.split('\n')[0])).toEqual(verbs.map(({ name }) => name));
    for (const [i, { name, command }] of verbs.entries()) {
      const told = [...sections[i].matchAll(/^\| `(--[a-z-]+)` \|/gm)].map(([, flag]) => flag);
      expect(told.sort(), name).toEqual(command.options.map(({ long }) => long).sort());
      const usage = command.registeredArguments.map((argument) => {
        const shown = `${argument.name()}${argument.variadic ? '...' : ''}`;
        return argument.required ? `<${shown}>` : `[${shown}]`;
      });
      expect(sections[i]).toContain(['logitcask', name, ...usage].join(' '));
    }
  });

  it('names every exit code', () => {
    const codes = [...page.matchAll(/^\| ([\d, ]+) \|/gm)].flatMap(([, list]) => list.split(', '));
    const own = new Set(Object.values(errors).map(([, exit]) => String(exit)));
    expect(codes).toEqual(['0', ...[...own].sort(), '130', '143']);
  });
});

describe('a wrong command line', () => {
  const dump = ['build', '--logits', 'none.npy', '--tokens', 'none.npy'];
  it.each([
    ['an unknown verb', ['buidl'], 'request-invalid', 'Did you mean build?'],
    ['an unknown flag', ['build', '--stroe', 'x'], 'request-invalid', 'Did you mean --store?'],
    ['a missing argument', ['verify'], 'request-invalid', 'dataset'],
    ['an argument too many', ['build', 'extra'], 'request-invalid', 'too many arguments'],
    ['a flag without its value', ['build', '--k'], 'request-invalid', '--k'],
    ['a number that is none', ['build', '--k', 'many'], 'config-invalid', '--k is "many"'],
    ['a number out of range', ['build', '--k', '0'], 'config-invalid', '--k is 0'],
    ['an unknown source', ['build', '--source', 'ollama'], 'config-invalid', '`ngram` | `dump`'],
    ['a flag of another source', [...dump, '--samples', '3'], 'config-invalid', 'source.type'],
    ['a name with a path', ['build', '--dataset', '../x'], 'config-invalid', '../x'],
    ['a dump that is not there', dump, 'source-unreadable', 'none.npy'],
    ['a port that is none', ['quickstart', '--port', 'x'], 'config-invalid', '--port is "x"'],
    [
      'a missing configuration',
      ['build', '--config', 'none.yaml'],
      'config-unreadable',
      'none.yaml',
    ],
    ['a folder as configuration', ['serve', '--config', '.'], 'config-unreadable', 'EISDIR'],
    ['an address that is none', ['pull', 'localhost', 'a'], 'request-invalid', 'http://host:port'],
    ['a batch of none', ['pull', 'http://a', 'a', '--batch', '0'], 'request-invalid', '--batch'],
    [
      'a seed too large',
      ['pull', 'http://a', 'a', '--seed', '9'.repeat(20)],
      'request-invalid',
      '2^64',
    ],
    [
      'a layout that is none',
      ['pull', 'http://a', 'a', '--layout', 'x'],
      'request-invalid',
      'dense',
    ],
    [
      'an order for a plan',
      ['pull', 'http://a', 'a', '--plan', 'a', '--seed', '1'],
      'request-invalid',
      '--plan',
    ],
    ['a data set that is not there', ['verify', 'none'], 'dataset-not-found', 'none'],
    [
      'a sample that is none',
      ['inspect', 'a', '--positions', 'x'],
      'request-invalid',
      '--positions',
    ],
    ['an address open to strangers', ['serve', '--host', '0.0.0.0'], 'config-invalid', '0.0.0.0'],
  ] as const)('is refused with exit code 2: %s', async (_, args, code, words) => {
    const store = join(folder, `${args[0]}-${args.length}-${code}`);
    const ended = await run(args, { LOGITCASK_STORE: store });
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toMatch(/^logitcask: [a-z ]+: /);
    expect(ended.stderr).toContain(`\n  code: ${code}\n`);
    expect(ended.stderr).toContain(words);
    expect(ended.stderr).not.toContain('    at ');
    expect(filesOf(store)).toEqual([]);
  });

  it('is a problem document on standard error with --json', async () => {
    for (const args of [
      ['build', '--k', '0', '--json'],
      ['verify', '--json'],
      ['nothing', '--json'],
    ]) {
      const { code, stdout, stderr } = await run(args);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      const lines = stderr.trim().split('\n');
      expect(lines).toHaveLength(1);
      expect(problem.parse(JSON.parse(lines[0]))).toMatchObject({ instance: args[0] });
    }
  });
});

describe('a configuration file', () => {
  it.each([
    ['sparsifer: {k: 3}', 'config-invalid', 'the nearest is `sparsifier`'],
    ['codec: {stp: fine}', 'config-invalid', 'the nearest is `codec.step`'],
    ['codec: {step: -1}', 'config-invalid', '`codec.step`'],
    ['codec: [planes', 'config-unreadable', 'line 1'],
  ])('is refused with exit code 2 and leaves nothing: %s', async (text, code, words) => {
    const file = join(folder, 'bad.yaml');
    writeFileSync(file, text);
    const store = join(folder, 'bad');
    const ended = await run(['build', '--config', file, '--store', store]);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain(`code: ${code}\n`);
    expect(ended.stderr).toContain(words);
    expect(ended.stderr).toContain('bad.yaml');
    expect(filesOf(store)).toEqual([]);
  });

  it('is refused as an unknown variable is', async () => {
    const { code, stderr } = await run(['inspect'], { LOGITCASK_STROE: 'x' });
    expect(code).toBe(2);
    expect(stderr).toContain('the nearest is `LOGITCASK_STORE`');
  });
});

it('loads of packages what a verb needs, and the server once it serves', () => {
  const textOf = (file: string) => readFileSync(join('dist/src', file), 'utf8');
  const packagesOf = (start: string) => {
    const packages = new Set<string>();
    const files = new Set([start]);
    for (const file of files) {
      const text = textOf(file);
      for (const [, from] of text.matchAll(/^(?:import|export)\b[^;]*?"([^"]+)";$/gm)) {
        if (from.startsWith('./')) files.add(from.slice(2));
        else if (!from.startsWith('node:')) packages.add(from);
      }
      for (const [, from] of text.matchAll(/= __require\("([^"]+)"\);$/gm)) {
        if (!isBuiltin(from)) packages.add(from);
      }
    }
    return [...packages].sort();
  };
  expect(packagesOf('cli.js')).toEqual([]);
  const parts = [...textOf('cli.js').matchAll(/import\("\.\/(cli-[^"]+)"\)/g)];
  const packages = parts.map(([, file]) => packagesOf(file));
  expect(packages.length).toBeGreaterThanOrEqual(top.length);
  expect(packages.flat()).toContain('piscina');
  expect(packages.flat().filter((name) => name.includes('fastify'))).toEqual([]);
});
