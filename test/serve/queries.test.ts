import { parse } from 'node:querystring';
import fc from 'fast-check';
import { validatorCompiler } from 'fastify-type-provider-zod';
import { expect, it } from 'vitest';
import { batchRequest } from '../../schemas/batch.ts';
import { createQueryParser, validateOnce } from '../../src/serve/queries.ts';

const route = { schema: batchRequest, httpPart: 'querystring', method: 'GET', url: '/' };

it('keeps no more than some thousands, and passes over no key', () => {
  const read = createQueryParser();
  const first = read('rank=0');
  expect(read('rank=0')).toBe(first);
  for (let rank = 1; rank < 20_000; rank++) read(`rank=${rank}`);
  expect(read('rank=0')).not.toBe(first);
  const many = Array.from({ length: 1500 }, (_, i) => `key${i}=1`).join('&');
  expect(Object.keys(read(many))).toHaveLength(1500);
});

it('gives what is parsed and validated each time, as one object for one text', () => {
  const read = createQueryParser();
  const validate = validateOnce(route);
  const plain = validatorCompiler(route);
  const value = fc.constantFrom('0', '1', '7', 'dense', 'frames', '', 'x');
  const key = fc.constantFrom('rank', 'world', 'layout', 'k', 'other');
  fc.assert(
    fc.property(fc.array(fc.tuple(key, value), { maxLength: 5 }), (pairs) => {
      const text = pairs.map((pair) => pair.join('=')).join('&');
      expect(read(text)).toBe(read(text));
      expect(read(text)).toEqual(parse(text));
      expect(validate(read(text))).toBe(validate(read(text)));
      expect(validate(read(text))).toEqual(plain(parse(text)));
    }),
  );
});
