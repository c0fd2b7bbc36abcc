import { expect, it } from 'vitest';
import { costOf } from '../../src/audit/cost.ts';

it('is bytes kept and bytes sent at their prices, a GB being 10^9 bytes', () => {
  const column = { name: 'tokens', target_set: null, bytes: 4e9 };
  const size = { bytes: 50e9, images: null, columns: [column, { ...column, bytes: 36e9 }] };
  const prices = { currency: 'EUR', storagePerGbMonth: 0.023, egressPerGb: 0.09 };
  const cost = costOf(size, prices);
  expect(cost.per_month).toBeCloseTo(1.15, 10);
  expect(cost.per_epoch).toBeCloseTo(3.6, 10);
  const stored = costOf({ ...size, images: { count: 3, bytes: 10e9 } }, prices);
  expect(stored.per_month).toBeCloseTo(1.38, 10);
  expect(stored.per_epoch).toBe(cost.per_epoch);
  expect(cost).toMatchObject({ currency: 'EUR', storage_per_gb_month: 0.023, egress_per_gb: 0.09 });
});
