/** What a snapshot costs at given prices: kept for a month, and sent for an epoch. */
import type { AuditSize } from '../../schemas/audit.ts';

export interface Prices {
  /** As it is printed, e.g. `EUR`. */
  readonly currency: string;
  /** Of a GB (10^9 bytes) kept for a month. */
  readonly storagePerGbMonth: number;
  /** Of a GB sent. */
  readonly egressPerGb: number;
}

const gb = 1e9;

/**
 * Stored images are kept, too. An epoch of one trainer is the bytes of all columns: what the
 * layout `frames` sends.
 */
export function costOf(
  { bytes, images, columns }: Pick<AuditSize, 'bytes' | 'images' | 'columns'>,
  { currency, storagePerGbMonth, egressPerGb }: Prices,
): NonNullable<AuditSize['cost']> {
  const sent = columns.reduce((sum, column) => sum + column.bytes, 0);
  return {
    currency,
    storage_per_gb_month: storagePerGbMonth,
    egress_per_gb: egressPerGb,
    per_month: ((bytes + (images?.bytes ?? 0)) / gb) * storagePerGbMonth,
    per_epoch: (sent / gb) * egressPerGb,
  };
}
