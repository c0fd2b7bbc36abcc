import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson, digestOf, sha256Hex } from '../../src/formats/canonical.ts';

describe('canonical JSON', () => {
  it('prints the example of RFC 8785, section 3.2', () => {
    const example = {
      numbers: [Number('333333333.33333329'), 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
      string: '\u20ac$\u000F\u000aA\'\u0042\u0022\u005c\\"/',
      literals: [null, true, false],
    };
    const expected =
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],' +
      '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}';
    expect(canonicalJson(example)).toBe(expected);
  });

  it('sorts keys by UTF-16 code units, as RFC 8785, section 3.2.3', () => {
    const keys = ['\u20ac', '\r', '\ufb33', '1', '\ud83d\ude00', '\u0080', '\u00f6'];
    const document = Object.fromEntries(keys.map((key, i) => [key, i]));
    const sorted = ['\r', '1', '\u0080', '\u00f6', '\u20ac', '\ud83d\ude00', '\ufb33'];
    expect(Object.keys(JSON.parse(canonicalJson(document))).sort()).toEqual([...keys].sort());
    const order = sorted.map((key) => canonicalJson(document).indexOf(JSON.stringify(key)));
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(order.every((at) => at >= 0)).toBe(true);
  });

  it.each([
    // RFC 8785, appendix B: bits of a double, and how it is printed
    ['0000000000000000', '0'],
    ['8000000000000000', '0'],
    ['0000000000000001', '5e-324'],
    ['8000000000000001', '-5e-324'],
    ['7fefffffffffffff', '1.7976931348623157e+308'],
    ['ffefffffffffffff', '-1.7976931348623157e+308'],
    ['4340000000000000', '9007199254740992'],
    ['c340000000000000', '-9007199254740992'],
    ['4430000000000000', '295147905179352830000'],
    ['44b52d02c7e14af5', '9.999999999999997e+22'],
    ['44b52d02c7e14af6', '1e+23'],
    ['44b52d02c7e14af7', '1.0000000000000001e+23'],
    ['444b1ae4d6e2ef4e', '999999999999999700000'],
    ['444b1ae4d6e2ef4f', '999999999999999900000'],
    ['444b1ae4d6e2ef50', '1e+21'],
    ['3eb0c6f7a0b5ed8c', '9.999999999999997e-7'],
    ['3eb0c6f7a0b5ed8d', '0.000001'],
    ['41b3de4355555553', '333333333.3333332'],
    ['41b3de4355555557', '333333333.33333343'],
    ['becbf647612f3696', '-0.0000033333333333333333'],
    ['43143ff3c1cb0959', '1424953923781206.2'],
  ])('prints the double %s as %s', (bits, printed) => {
    expect(canonicalJson(Buffer.from(bits, 'hex').readDoubleBE())).toBe(printed);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, undefined, 1n, () => 0, Symbol('a')])(
    'refuses what has no representation: %s',
    (value) => {
      const refused = expect.objectContaining({ code: 'internal' });
      expect(() => canonicalJson([value])).toThrowError(refused);
      expect(() => canonicalJson(value)).toThrowError(refused);
    },
  );

  it('leaves out members without a value', () => {
    expect(canonicalJson({ b: undefined, a: 1 })).toBe('{"a":1}');
  });

  it('is JSON for the same document, whatever the order of its keys', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
        expect(canonicalJson(JSON.parse(text))).toBe(text);
      }),
    );
    const reversed = (o: object) => Object.fromEntries(Object.entries(o).reverse());
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.integer()), (members) => {
        expect(canonicalJson(reversed(members))).toBe(canonicalJson(members));
      }),
    );
  });
});

it('digests are SHA-256 over the canonical text', () => {
  const expected = createHash('sha256').update('{"a":[1,"é"],"b":null}').digest('hex');
  expect(digestOf({ b: null, a: [1, 'é'] })).toBe(expected);
  expect(sha256Hex(Buffer.from('{"a":[1,"é"],"b":null}'))).toBe(expected);
});
