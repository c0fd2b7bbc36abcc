/** Damage is reported with the sample and the shard where it lies. */
import { LogitcaskError } from '../../errors.ts';
import type { LayoutInput } from './layout.ts';

export function locate<T>({ describe }: LayoutInput, row: number, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof LogitcaskError) || error.code !== 'frame-damaged') throw error;
    const { expected, got } = error;
    throw new LogitcaskError(error.code, `${describe(row)}: ${error.message}`, { expected, got });
  }
}
