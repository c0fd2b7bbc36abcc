import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildConfig } from '../schemas/build-config.ts';
import { jsonSchemaOf, schemaFiles } from '../schemas/json-schema.ts';
import { labelConfig } from '../schemas/label-config.ts';
import { serveConfig } from '../schemas/serve-config.ts';
import { nearestKey } from '../src/config/nearest-key.ts';
import { isLeaf, nodesAt, pathsOf } from '../src/config/schema.ts';
import { type ConfigInput, defaultsOf, parseConfigText, resolveConfig } from '../src/config.ts';
import { LogitcaskError } from '../src/errors.ts';

const fileOf = (text: string) => ({ name: 'a.yaml', settings: parseConfigText(text, 'a.yaml') });
const flag = (path: string, text: string) => ({ origin: `--${path}`, path, text });

function refused(input: ConfigInput, document: 'build' | 'serve' = 'build'): LogitcaskError {
  try {
    resolveConfig(document, input);
  } catch (error) {
    if (error instanceof LogitcaskError) return error;
    throw error;
  }
  throw new Error('the configuration was accepted');
}

describe('the layers of a configuration', () => {
  it('are defaults where nothing is given', () => {
    expect(resolveConfig('build', {})).toEqual(buildConfig.parse({}));
    expect(resolveConfig('serve', {})).toEqual(serveConfig.parse({}));
  });

  it('override each other: flags, then variables, then the file', () => {
    const file = fileOf('{dataset: file, tag: file, store: file, temperatures: [3]}');
    const environment = { LOGITCASK_TAG: 'variable', LOGITCASK_STORE: 'variable' };
    const config = resolveConfig('build', { file, environment, flags: [flag('store', 'flag')] });
    expect(config).toMatchObject({ dataset: 'file', tag: 'variable', store: 'flag' });
    expect(config.temperatures).toEqual([3]);
  });

  it('merge objects key by key', () => {
    const file = fileOf('sparsifier: {k: 16}\nreference: {positions: 8}\ncodec: {step: standard}');
    const flags = [flag('codec.compression', 'lz4')];
    const config = resolveConfig('build', { file, flags });
    expect(config.sparsifier).toEqual({ type: 'top-k', k: 16 });
    expect(config.reference).toEqual({ positions: 8, entries: 1024, seed: 0 });
    expect(config.codec).toEqual({ type: 'planes', step: 'standard', compression: 'lz4' });
  });

  it.each([
    ['k: 16', 'top-k'],
    ['cap: 3', 'top-p'],
    ['tau: 0.1', 'threshold'],
  ])('take the sparsifier that %s names', (setting, type) => {
    const config = resolveConfig('build', { file: fileOf(`sparsifier: {${setting}}`) });
    expect(config.sparsifier).toMatchObject({ type });
  });

  it('replace an object whole where they name another type', () => {
    const file = fileOf('source: {type: dump, logits: a.npy}\ncodec: {step: fine}');
    const flags = [flag('source.samples', '5'), flag('source.type', 'ngram')];
    const { source, codec } = resolveConfig('build', {
      file,
      flags: [...flags, flag('codec.type', 'raw')],
    });
    expect(source).toMatchObject({ type: 'ngram', samples: 5 });
    expect(source).not.toHaveProperty('logits');
    expect(codec).toEqual({ type: 'raw' });
  });

  it('take codec plain for Parquet where none is named, and refuse frames in it', () => {
    const parquet = [flag('format', 'parquet')];
    expect(resolveConfig('build', { flags: parquet }).codec).toEqual({ type: 'plain' });
    const step = [...parquet, flag('codec.step', 'standard')];
    const { codec } = resolveConfig('build', { flags: step });
    expect(codec).toEqual({ type: 'plain', step: 'standard' });
    const raw = { flags: [...parquet, flag('codec.type', 'raw')] };
    expect(resolveConfig('build', raw).codec).toEqual({ type: 'raw' });
    const error = refused({ flags: [...parquet, flag('codec.type', 'planes')] });
    expect(error).toMatchObject({ code: 'config-invalid', got: 'planes' });
    expect(error.message).toContain('`codec.type` from --codec.type is "planes"');
  });

  it('read numbers, booleans and lists from text, and leave text alone', () => {
    const build = { LOGITCASK_TEMPERATURES: '2,4', LOGITCASK_DATASET: '2024' };
    expect(resolveConfig('build', { environment: build })).toMatchObject({
      temperatures: [2, 4],
      dataset: '2024',
    });
    const tokens = `[{name: a, sha256: ${'a'.repeat(64)}, scopes: [read]}]`;
    const serve = {
      LOGITCASK_ALLOW_ANONYMOUS: 'true',
      LOGITCASK_LIMITS__GRACE_MS: '5',
      LOGITCASK_TOKENS: tokens,
    };
    const config = resolveConfig('serve', { environment: serve });
    expect(config).toMatchObject({ allow_anonymous: true, tokens: [{ name: 'a' }] });
    expect(config.limits).toMatchObject({ grace_ms: 5, connections_max: 1024 });
    const step = { flags: [flag('codec.step', '0.004')] };
    expect(resolveConfig('build', step).codec).toMatchObject({ step: 0.004 });
  });

  it('leave aside variables of other verbs, empty ones and those of other programs', () => {
    const environment = {
      LOGITCASK_PORT: '1',
      LOGITCASK_TOKEN: 'secret',
      LOGITCASK_TAG: '',
      PATH: '/bin',
    };
    expect(resolveConfig('build', { environment })).toEqual(buildConfig.parse({}));
    const source = { LOGITCASK_SOURCE__TYPE: 'dump', LOGITCASK_STORE: 'here' };
    expect(resolveConfig('store', { environment: source })).toEqual({ store: 'here' });
  });
});

describe('a configuration is refused', () => {
  it.each([
    ['sparsifer: {k: 3}', 'sparsifier'],
    ['codec: {stp: fine}', 'codec.step'],
    ['source: {type: ngram, sampleLength: 4}', 'source.sample_length'],
    ['source: {type: dump, logits: a, token: b}', 'source.tokens'],
    ['k: 5', 'sparsifier.k'],
    ['codec: {tpye: raw}', 'codec.type'],
    ['reference: {position: 1}', 'reference.positions'],
    ['sample-length: 4', 'source.sample_length'],
  ])('with the nearest known key: %s → %s', (text, near) => {
    const { code, message, expected } = refused({ file: fileOf(text) });
    expect(code).toBe('config-invalid');
    expect(expected).toBe(near);
    expect(message).toMatch(`a.yaml is not known; the nearest is \`${near}\``);
  });

  it('with the nearest known key inside a list', () => {
    const file = fileOf('tokens: [{name: a, sha: b, scopes: [read]}]');
    expect(refused({ file }, 'serve')).toMatchObject({ expected: 'tokens.sha256' });
  });

  it('with the nearest known variable', () => {
    for (const [wrong, near] of [
      ['LOGITCASK_STROE', 'LOGITCASK_STORE'],
      ['LOGITCASK_SPARSIFIER_K', 'LOGITCASK_SPARSIFIER__K'],
    ]) {
      const { code, expected } = refused({ environment: { [wrong]: 'x' } });
      expect(code).toBe('config-invalid');
      expect(expected).toMatch(near);
    }
  });

  it('with the type that a key belongs to', () => {
    const flags = [flag('source.logits', 'a.npy')];
    expect(refused({ flags })).toMatchObject({
      message:
        'config: `source.logits` from --source.logits belongs to source.type `dump`, ' +
        'but that is `ngram`',
      expected: 'dump',
      got: 'ngram',
    });
  });

  it.each([
    ['sparsifier: {k: 0}', '`sparsifier.k` from a.yaml is 0', 'number >=1'],
    ['sparsifier: {k: many}', '`sparsifier.k` from a.yaml is "many"', 'number'],
    [
      'source: {type: foo}',
      '`source.type` from a.yaml is "foo"',
      '`ngram` | `dump` | `lists` | `onnx` | `vllm` | `sglang` | `llama-cpp-python` | `vision`',
    ],
    ['source: {type: dump}', '`source.logits` is missing', 'string'],
    ['codec: {step: coarse}', 'is "coarse"', 'one of `fine`|`standard`, or number'],
    ['dataset: ../x', '`dataset` from a.yaml is "../x"', 'letters, digits, `.`, `_` and `-`'],
    ['temperatures: [1, -1]', '`temperatures.1` from a.yaml is -1', 'number >=0.01'],
    ['source:', '`source` from a.yaml is null', 'object'],
  ])('with path, value and what was expected: %s', (text, words, expected) => {
    const error = refused({ file: fileOf(text) });
    expect(error).toMatchObject({ code: 'config-invalid', expected });
    expect(error.message).toContain(words);
  });

  it('with the flag or the variable that gave the value', () => {
    const environment = { LOGITCASK_SPARSIFIER__K: '0' };
    expect(refused({ environment }).message).toContain('from LOGITCASK_SPARSIFIER__K is 0');
    const tokens = { LOGITCASK_TOKENS: '[{name: a, sha256: b, scopes: [read]}]' };
    expect(refused({ environment: tokens }, 'serve').message).toContain(
      '`tokens.0.sha256` from LOGITCASK_TOKENS is "b"',
    );
    const both = { environment, flags: [flag('sparsifier.k', '[')] };
    expect(refused(both).message).toContain('from --sparsifier.k is "["');
    expect(refused({ flags: [flag('store', '')] }).message).toContain('--store is empty');
  });
});

describe('the text of a configuration', () => {
  it('is YAML or JSON and gives the same', () => {
    const settings = { codec: { type: 'raw' }, temperatures: [2] };
    expect(parseConfigText(JSON.stringify(settings), 'a.json')).toEqual(settings);
    expect(parseConfigText('codec: {type: raw}\ntemperatures:\n  - 2\n', 'a')).toEqual(settings);
    expect(parseConfigText('# nothing yet\n', 'a')).toEqual({});
  });

  it.each(['a: [1\n', '- a\n- b\n', 'text', 'a: 1\na: 2\n', '{"a": 1', 'a: *b\n', '\t: x: y'])(
    'is refused where it cannot be parsed: %j',
    (text) => {
      expect(() => parseConfigText(text, 'a.yaml')).toThrow(
        expect.objectContaining({ code: 'config-unreadable' }),
      );
    },
  );

  it('cannot reach the prototype of what it is merged into', () => {
    const { code } = refused({ file: fileOf('__proto__: {dataset: x}\nconstructor: 1') });
    expect(code).toBe('config-invalid');
    expect(resolveConfig('build', {}).dataset).toBe('default');
  });
});

describe('the nearest key', () => {
  const known = pathsOf(jsonSchemaOf(buildConfig));

  it('is found for any key with one character lost, added or changed', () => {
    const slip = fc
      .record({
        path: fc.constantFrom(...known.filter((path) => (path.split('.').at(-1) ?? '').length > 5)),
        at: fc.nat(),
        kind: fc.constantFrom('lose', 'add', 'change'),
      })
      .map(({ path, at, kind }) => {
        const start = path.lastIndexOf('.') + 1;
        const cut = start + (at % (path.length - start));
        const rest = path.slice(kind === 'add' ? cut : cut + 1);
        return { path, wrong: path.slice(0, cut) + (kind === 'lose' ? '' : 'x') + rest };
      });
    const without = (key: string, at: number) => key.slice(0, at) + key.slice(at + 1);
    const loses = (key: string, other: string) =>
      Array.from(key, (_, at) => without(key, at)).includes(other);
    // `esize` is as near to `size` as to `resize`
    const isNear = (key: string, wrong: string) => loses(key, wrong) || loses(wrong, key);
    const found = fc.property(slip, ({ path, wrong }) => {
      const key = nearestKey(wrong, known);
      return key === path || isNear(key, wrong);
    });
    fc.assert(found, {
      examples: [[{ path: 'source.preprocess.resize', wrong: 'source.preprocess.esize' }]],
    });
  });
});

describe('the documents of a configuration', () => {
  it('have generated JSON Schemas that are fresh', () => {
    const files = readdirSync('schemas').filter((name) => name.endsWith('.schema.json'));
    const stored = files.map((name) => [name, readFileSync(`schemas/${name}`, 'utf8')]);
    expect(Object.fromEntries(stored)).toEqual(schemaFiles());
  });

  it.each([
    ['build', buildConfig],
    ['label', labelConfig],
    ['serve', serveConfig],
  ] as const)('name every setting of %s with its default in docs/config.md', (document, zod) => {
    const schema = jsonSchemaOf(zod);
    const page = readFileSync('docs/config.md', 'utf8');
    const part = page.slice(page.indexOf(`## \`logitcask ${document}\``)).split('\n## ')[0];
    const rows = [...part.matchAll(/^\| `([A-Za-z_0-9.]+)` \| (.*?) \|/gm)];
    const told = Object.fromEntries(rows.map(([, path, standard]) => [path, standard]));
    const leaves = pathsOf(schema).filter((path) => isLeaf(schema, path));
    expect(Object.keys(told).sort()).toEqual(leaves.sort());
    for (const path of leaves) {
      const standard =
        defaultsOf(document)(path) ??
        nodesAt(schema, path.split('.')).find((node) => node.default !== undefined)?.default;
      if (standard !== undefined && standard !== '') expect(told[path]).toBe(`\`${standard}\``);
    }
  });
});
