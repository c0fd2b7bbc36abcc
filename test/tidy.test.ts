import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

/** Lower may be imported by higher; folders of one tier do not know each other. */
const tiers: readonly (readonly string[])[] = [
  ['built', 'errors', 'schemas'],
  ['distribution'],
  ['formats'],
  ['kernel'],
  ['capture', 'sparsify', 'encode', 'store', 'plan'],
  ['shard'],
  ['audit'],
  ['serve'],
  ['client', 'build', 'convert', 'config'],
  ['label', 'cache', 'push'],
  ['commands'],
  ['cli', 'index'],
];

/** plan/stored.ts, audit and shard name a store by its interface; the house allows these by tier. */
const homes: Readonly<Record<string, readonly string[]>> = {
  'apache-arrow': ['formats'],
  'hyparquet-writer': ['formats'],
  yauzl: ['formats'],
  hyparquet: ['formats'],
  'hyparquet/src/column.js': ['formats'],
  'hyparquet/src/encoding.js': ['formats'],
  'hyparquet/src/plain.js': ['formats'],
  'hyparquet-compressors': ['formats'],
  zod: ['schemas'],
  '@toondepauw/node-zstd': ['encode', 'formats'],
  'lz4-napi': ['encode', 'formats'],
  '@huggingface/jinja': ['capture'],
  '@huggingface/tokenizers': ['capture'],
  fastify: ['serve'],
  'fastify-metrics': ['serve'],
  pino: ['serve'],
  'fastify-type-provider-zod': ['serve'],
  '@fastify/rate-limit': ['serve'],
  '@fastify/swagger': ['serve'],
  commander: ['commands', 'cli'],
  'cli-progress': ['commands'],
  yaml: ['config'],
  piscina: ['audit', 'build', 'capture', 'serve'],
  'onnxruntime-node': ['capture'],
  sharp: ['formats'],
};

const fileLinesMax = 300;
const functionLinesMax = 70;
const columnsMax = 100;

function list(folder: string, ending: RegExp): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => ending.test(name) && !/\.venv|node_modules|__pycache__/.test(name))
    .map((name) => join(folder, name));
}

interface File {
  readonly path: string;
  readonly text: string;
  readonly tree: ts.SourceFile;
  readonly imports: readonly string[];
}

function read(path: string): File {
  const text = readFileSync(path, 'utf8');
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true);
  const imports: string[] = [];
  const visit = (node: ts.Node) => {
    const isImport = ts.isImportDeclaration(node) || ts.isExportDeclaration(node);
    const isLater =
      ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword;
    const from = isImport ? node.moduleSpecifier : isLater ? node.arguments[0] : undefined;
    if (from !== undefined && ts.isStringLiteral(from)) imports.push(from.text);
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return { path, text, tree, imports };
}

const sources = [...list('src', /\.ts$/), ...list('schemas', /\.ts$/)].map(read);
const others = ['test', 'bench', 'kernel'].flatMap((folder) => list(folder, /\.ts$/)).map(read);
const web = list('web/src', /\.ts$/).map(read);
const python = ['python', 'examples']
  .flatMap((folder) => list(folder, /\.py$/))
  .map((path) => ({ path, text: readFileSync(path, 'utf8') }));

/** `src/encode/raw.ts` → `encode`; `src/build.ts` → `build`; `schemas/…` → `schemas`. */
function placeOf(path: string): string {
  const parts = path.split('/');
  return parts[0] === 'schemas' ? 'schemas' : parts[1].replace(/\.ts$/, '');
}

/** `hyparquet/src/column.js` → `hyparquet`; scoped names have two parts. */
function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

const isPage = (path: string) => path.startsWith('web/src/pages/');
const isPageToPage = (from: string, to: string) => isPage(from) && isPage(to);
const tierOf = (place: string) => tiers.findIndex((tier) => tier.includes(place));
const target = (file: File, specifier: string) => normalize(join(dirname(file.path), specifier));

function functionsOf({ tree, path }: File): { name: string; lines: number }[] {
  const found: { name: string; lines: number }[] = [];
  const visit = (node: ts.Node) => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const start = tree.getLineAndCharacterOfPosition(node.getStart(tree)).line;
      const end = tree.getLineAndCharacterOfPosition(node.end).line;
      found.push({ name: `${path}:${start + 1}`, lines: end - start + 1 });
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

describe('the house', () => {
  it('has a tier for every folder', () => {
    const unknown = sources.filter(({ path }) => tierOf(placeOf(path)) < 0);
    expect(unknown.map(({ path }) => path)).toEqual([]);
  });

  it('imports one way', () => {
    const wrong = sources.flatMap((file) =>
      file.imports
        .filter((specifier) => specifier.startsWith('.'))
        .map((specifier) => target(file, specifier))
        .filter((path) => {
          const [from, to] = [placeOf(file.path), placeOf(path)];
          return from !== to && tierOf(to) >= tierOf(from);
        })
        .map((path) => `${file.path} → ${path}`),
    );
    expect(wrong).toEqual([]);
  });

  it('has no import cycles', () => {
    const graph = new Map(
      sources.map((file) => [
        file.path,
        file.imports.filter((name) => name.startsWith('.')).map((name) => target(file, name)),
      ]),
    );
    const done = new Set<string>();
    const cycle = (path: string, trail: readonly string[]): string[] => {
      if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
      if (done.has(path)) return [];
      for (const next of graph.get(path) ?? []) {
        const found = cycle(next, [...trail, path]);
        if (found.length > 0) return found;
      }
      done.add(path);
      return [];
    };
    expect(sources.flatMap(({ path }) => cycle(path, []))).toEqual([]);
  });

  it('keeps each third-party package at home', () => {
    const wrong = sources.flatMap((file) =>
      file.imports
        .filter((name) => !name.startsWith('.') && !name.startsWith('node:'))
        .filter((name) => !homes[packageOf(name)]?.includes(placeOf(file.path)))
        .map((name) => `${name} in ${file.path}`),
    );
    expect(wrong).toEqual([]);
  });

  it('has no dead files: every source is reached from the program, the API or a generator', () => {
    const roots = [
      'src/cli.ts',
      'src/index.ts',
      'schemas/generate.ts',
      'src/audit/audit-thread.ts',
      'src/build/thread.ts',
    ];
    const reached = new Set(roots);
    const byPath = new Map(sources.map((file) => [file.path, file]));
    for (const path of reached) {
      const file = byPath.get(path);
      for (const name of file?.imports ?? []) {
        if (file && name.startsWith('.')) reached.add(target(file, name));
      }
    }
    expect(sources.map(({ path }) => path).filter((path) => !reached.has(path))).toEqual([]);
  });
});

describe('the console', () => {
  it('takes types alone from outside, uPlot, and itself; pages do not know each other', () => {
    const wrong = web.flatMap((file) =>
      file.imports
        .filter((specifier) => {
          if (specifier === 'uplot') return file.path !== 'web/src/parts/chart.ts';
          const path = target(file, specifier);
          if (path.startsWith('schemas/')) return file.path !== 'web/src/types.ts';
          return !path.startsWith('web/src/') || isPageToPage(file.path, path);
        })
        .map((specifier) => `${file.path} → ${specifier}`),
    );
    expect(wrong).toEqual([]);
    const types = web.find(({ path }) => path === 'web/src/types.ts');
    expect(types?.text).not.toMatch(/^(import|export) (?!type|interface)/m);
  });

  it('has no dead files, and no way to make markup of text', () => {
    const reached = new Set(['web/src/main.ts']);
    for (const path of reached) {
      const file = web.find((one) => one.path === path);
      for (const name of file?.imports ?? []) reached.add(target(file as File, name));
    }
    expect(web.map(({ path }) => path).filter((path) => !reached.has(path))).toEqual([]);
    const markup = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|eval\(/;
    expect(web.filter(({ text }) => markup.test(text)).map(({ path }) => path)).toEqual([]);
  });
});

describe('every file', () => {
  it('is a file: no link, which would name a place on the machine that made it', () => {
    const tracked = execFileSync('git', ['ls-files', '--stage'], { encoding: 'utf8' });
    expect(tracked.split('\n').filter((line) => line.startsWith('120000'))).toEqual([]);
  });

  it('opens with a line that says what it is', () => {
    const wrong = [...sources, ...web].filter(({ text }) => !/^(#!.*\n)?\/\*\*/.test(text));
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });

  it(`has at most ${fileLinesMax} lines of at most ${columnsMax} columns`, () => {
    const all = [...sources, ...web, ...others, ...python];
    const long = all.filter(({ text }) => text.split('\n').length - 1 > fileLinesMax);
    expect(long.map(({ path }) => path)).toEqual([]);
    const wide = all.flatMap(({ path, text }) =>
      text
        .split('\n')
        .map((line, i) => ({ where: `${path}:${i + 1}`, width: [...line].length }))
        .filter(({ width }) => width > columnsMax),
    );
    // strings and templates are not broken by the formatter; code is
    expect(wide.filter(({ where }) => !where.startsWith('test'))).toEqual([]);
  });

  it(`has functions of at most ${functionLinesMax} lines`, () => {
    const long = [...sources, ...web, ...others.filter(({ path }) => !path.startsWith('test'))]
      .flatMap(functionsOf)
      .filter(({ lines }) => lines > functionLinesMax);
    expect(long).toEqual([]);
  });

  it('has no default exports, no `utils`, and relative imports that name their file', () => {
    const all = [...sources, ...web, ...others];
    expect(all.filter(({ text }) => /^export default/m.test(text)).map((f) => f.path)).toEqual([]);
    expect(all.filter(({ path }) => /utils?(\.ts|\/)/.test(path)).map((f) => f.path)).toEqual([]);
    const loose = all.flatMap(({ path, imports }) =>
      imports.filter((name) => name.startsWith('.') && !name.endsWith('.ts')).map(() => path),
    );
    expect(loose).toEqual([]);
  });

  it('leaves the environment to the program', () => {
    const wrong = sources.filter(
      ({ path, text }) => path !== 'src/cli.ts' && text.includes('process.env'),
    );
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });
});
