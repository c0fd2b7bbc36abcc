import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createLru } from '../../src/store/lru.ts';

it('keeps the most recent values within the limit and drops the others once, on any sequence', () => {
  const key = fc.constantFrom('a', 'b', 'c', 'd', 'e');
  const step = fc.oneof(
    fc.record({ do: fc.constant('set' as const), key, cost: fc.integer({ min: 1, max: 6 }) }),
    fc.record({ do: fc.constantFrom('get' as const, 'delete' as const), key }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const dropped: number[] = [];
      const lru = createLru<number>(10, (value) => dropped.push(value));
      let model: { key: string; value: number; cost: number }[] = []; // least recent first
      const gone: number[] = [];
      const without = (name: string) => {
        const own = model.filter((entry) => entry.key === name);
        gone.push(...own.map(({ value }) => value));
        model = model.filter((entry) => entry.key !== name);
      };
      steps.forEach((act, value) => {
        if (act.do === 'set') {
          without(act.key);
          model.push({ key: act.key, value, cost: act.cost });
          const total = () => model.reduce((sum, { cost }) => sum + cost, 0);
          while (total() > 10 && model.length > 1) gone.push(model.shift()?.value ?? -1);
          lru.set(act.key, value, act.cost);
        } else if (act.do === 'delete') {
          without(act.key);
          lru.delete(act.key);
        } else {
          const found = model.find((entry) => entry.key === act.key);
          if (found) model = [...model.filter((entry) => entry !== found), found];
          expect(lru.get(act.key)).toBe(found?.value);
        }
        expect(dropped).toEqual(gone);
      });
      lru.clear();
      expect(dropped).toEqual([...gone, ...model.map(({ value }) => value)]);
    }),
  );
});

it('keeps one value that is over the limit by itself', () => {
  const lru = createLru<string>(10);
  lru.set('small', 'a', 1);
  lru.set('large', 'b', 50);
  expect([lru.get('small'), lru.get('large')]).toEqual([undefined, 'b']);
});
