/** The tally of the reference: what is stored beside what the teacher said, at its positions. */
import { type Comparison, compareWithReference, mergeComparisons } from './fidelity.ts';
import type { TallyKind } from './tally.ts';

/** In the manifest's order of target sets. */
export const reference: TallyKind<readonly Comparison[]> = {
  begin(manifest) {
    const sets = manifest.target_sets.map((set) => compareWithReference(manifest, set));
    return {
      add(sample) {
        for (const row of sample.reference) {
          for (const [i, set] of sets.entries()) {
            if (set.takes(row)) set.add(row, sample.sets[i].targets);
          }
        }
      },
      value: () => sets.map((set) => set.value()),
    };
  },
  merge: (a, b) => a.map((one, i) => mergeComparisons(one, b[i])),
};
