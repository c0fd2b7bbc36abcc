import fc from 'fast-check';
import { expect, it } from 'vitest';
import { file, isPlainFile } from '../../schemas/manifest.ts';

const plain = {
  role: 'shard',
  name: 'a-00000.arrow',
  bytes: 12,
  sha256: '0'.repeat(64),
  samples: 3,
  positions: 9,
};

it('files without overrides are seen as the schema sees them', () => {
  expect(isPlainFile(plain)).toBe(true);
  const values = fc.oneof(
    fc.constantFrom('index', 'other', '..', 'a'.repeat(129), 'a', '0'.repeat(63), '0'.repeat(64)),
    fc.constantFrom(0, -1, 1.5, 2 ** 53, Number.NaN, null, undefined, true, [], {}),
    fc.string(),
    fc.integer(),
  );
  const changes = fc.dictionary(fc.constantFrom(...Object.keys(plain), 'more'), values, {
    maxKeys: 2,
  });
  fc.assert(
    fc.property(changes, (change) => {
      const changed = { ...plain, ...change };
      expect(isPlainFile(changed)).toBe(file.safeParse(changed).success);
    }),
    { numRuns: 1000 },
  );
  const without = ({ bytes: _, ...rest }: typeof plain) => rest;
  expect(isPlainFile(without(plain))).toBe(false);
});
