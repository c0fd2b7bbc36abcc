import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createPlaces } from '../../src/distribution/places.ts';

const id = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 0xffffffff }));

it('finds ids as a Map does, position after position', () => {
  const places = createPlaces();
  fc.assert(
    fc.property(
      fc.array(fc.array(id, { maxLength: 200, size: 'max' }), { minLength: 1, maxLength: 4 }),
      fc.array(id, { maxLength: 50 }),
      (positions, others) => {
        const all = Uint32Array.from(positions.flat());
        let from = 0;
        for (const own of positions) {
          places.set(all, from, from + own.length);
          const known = new Map(own.map((one, i) => [one, from + i]));
          for (const one of [...own, ...others, 0]) {
            expect(places.at(one)).toBe(known.get(one) ?? -1);
          }
          from += own.length;
        }
      },
    ),
  );
});
