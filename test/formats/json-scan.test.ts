import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonScanner } from '../../src/formats/json-scan.ts';

const scan = (text: string) => new JsonScanner(Buffer.from(text));

/** Everything through the scanner's own methods. */
function read(scanner: JsonScanner, shape: unknown): unknown {
  if (shape === null) return scanner.isNull() ? null : 'not null';
  if (typeof shape === 'number') return scanner.number();
  if (typeof shape === 'string') return scanner.string();
  if (Array.isArray(shape)) {
    const items: unknown[] = [];
    scanner.list((i) => void items.push(read(scanner, shape[i])));
    return items;
  }
  const members: [string, unknown][] = [];
  scanner.object((key) => {
    members.push([key, read(scanner, (shape as Record<string, unknown>)[key])]);
  });
  return Object.fromEntries(members);
}

const values = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.integer(),
    fc.string({ unit: 'binary' }),
    fc.constant(null),
    fc.array(tie('value')),
    fc.dictionary(fc.string(), tie('value')),
  ),
})).value;

describe('the JSON scanner', () => {
  it('reads what JSON.stringify writes, with any white space', () => {
    fc.assert(
      fc.property(values, fc.constantFrom(0, 1, '\t'), (value, space) => {
        const text = JSON.stringify(value, null, space);
        const parsed = JSON.parse(text);
        expect(read(scan(text), parsed)).toEqual(parsed);
        const scanner = scan(`[${text},7]`);
        const seen: number[] = [];
        scanner.list((i) => {
          if (i === 0) scanner.skip();
          else seen.push(scanner.number());
        });
        expect(seen).toEqual([7]);
      }),
    );
  });

  it('reads numbers within 2 units of the last place, and those of float32 exactly', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const got = scan(JSON.stringify(value)).number();
        expect(Math.abs(got - value)).toBeLessThanOrEqual(Math.abs(value) * 2 ** -51 + 2e-323);
      }),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true, max: 0 }), (value) => {
        expect(Math.fround(scan(JSON.stringify(value)).number())).toBe(value + 0);
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['NaN', Number.NaN],
    ['null', Number.NaN],
    ['-Infinity', Number.NEGATIVE_INFINITY],
    ['Infinity', Number.POSITIVE_INFINITY],
    ['-0.00012345678901234567890e2', -0.012345678901234568],
    ['123456789012345678901234567890', 1.2345678901234568e29],
    ['1e400', Number.POSITIVE_INFINITY],
    ['1e-400', 0],
  ])('reads %s', (text, value) => {
    const got = scan(text).number();
    if (Number.isNaN(value) || !Number.isFinite(value)) expect(got).toBe(value);
    else expect(got).toBeCloseTo(value, 15);
  });

  it('reads keys that are numbers in the order in which they stand', () => {
    const keys: number[] = [];
    const scanner = scan('{"300": 1, "5": 2, "44" :3}');
    scanner.numberedObject((key) => keys.push(key, scanner.number()));
    expect(keys).toEqual([300, 1, 5, 2, 44, 3]);
  });

  it('refuses what is cut short or malformed, and never reads beyond it', () => {
    const text = '{"a": [1.5, {"b": "x\\"y"}, null], "c": {"1": true}}';
    for (let end = 0; end < text.length; end++) {
      expect(() => scan(text.slice(0, end)).skip(), text.slice(0, end)).toThrow('expected');
    }
    for (const wrong of ['{a:1}', '[1 2]', '{"a" 1}', '[1,]', '-', '.5', '1.', 'nul', '"']) {
      expect(() => scan(wrong).skip(), wrong).toThrow('expected');
    }
    expect(() => scan('['.repeat(100_000)).skip()).toThrow('less depth');
  });
});
