/** Which of the measured choices to take, by rules that can be said in a sentence. */
import { lossOf, lossSlack, type StorageChoice } from '../audit/storage-choices.ts';
import { steps } from '../encode/levels.ts';
import type { StoragePlan } from './plan-storage.ts';

export interface StorageAdvice {
  /**
   * The smallest whose variance is that of 50 random draws or less. Null without whole
   * distributions, or where other temperatures are asked for: a draw belongs to one.
   */
  readonly unbiased: StorageChoice | null;
  /** The smallest that loses as little as `standard`, the tail counted, to within 5 %. */
  readonly scaled: StorageChoice;
  /** What a build takes by default: top-k 64 at step fine, or the longest list below. */
  readonly standard: StorageChoice;
}

const named: readonly number[] = Object.values(steps);

/** Among the steps that have a name. */
export function adviseStorage({ choices, draws, beside }: StoragePlan): StorageAdvice {
  const bySize = choices
    .filter(({ step }) => named.includes(step))
    .sort((a, b) => a.bytes.zstd - b.bytes.zstd);
  const scaled = bySize.filter(({ kind }) => kind === 'scaled');
  const unbiased = bySize.filter(({ kind }) => kind === 'unbiased' && beside.logZ === 0);
  const standard = scaled.findLast(
    ({ sparsifier, step }) =>
      sparsifier.type === 'top-k' && sparsifier.k <= 64 && step === steps.fine,
  ) as StorageChoice;
  const enough = draws?.variance ?? 0;
  return {
    unbiased: unbiased.find((choice) => lossOf(choice) <= enough) ?? unbiased.at(-1) ?? null,
    scaled: scaled.find((choice) => lossOf(choice) <= lossOf(standard) * lossSlack) ?? standard,
    standard,
  };
}
