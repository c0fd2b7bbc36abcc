/** Rules over samples: what is there twice, and masks that no student should follow. */
import type { AuditReport, Finding } from '../../schemas/audit.ts';

/** Share of samples that are there before. Large collections of texts have a few repeats. */
const duplicatesWarned = 0.001;
const duplicatesMax = 0.01;

const finding = (own: Pick<Finding, 'code' | 'severity' | 'message' | 'got'>): Finding => ({
  section: 'coverage',
  target_set: null,
  expected: 0,
  ...own,
});

const duplicates = ({ coverage: { duplicates, samples } }: AuditReport): Finding[] => {
  const share = duplicates.samples / Math.max(1, samples);
  if (share <= duplicatesWarned) return [];
  return [
    finding({
      code: 'duplicates',
      severity: share > duplicatesMax ? 'fault' : 'warning',
      message:
        `coverage: ${duplicates.samples} of ${samples} samples are there before, word for word: ` +
        'they count twice in every epoch; leave them out of the input',
      got: duplicates.samples,
    }),
  ];
};

const masks = ({ coverage: { mask_faults: faults } }: AuditReport): Finding[] => {
  const found: Finding[] = [];
  if (faults.last > 0) {
    found.push(
      finding({
        code: 'mask-at-last',
        severity: 'fault',
        message:
          `coverage: ${faults.last} samples are to be learned at their last position, which no ` +
          'token follows; build again with the mask 0 there',
        got: faults.last,
      }),
    );
  }
  if (faults.without_target > 0) {
    found.push(
      finding({
        code: 'mask-without-target',
        severity: 'warning',
        message:
          `coverage: ${faults.without_target} samples are to be learned at positions without a ` +
          'target: a student gets only the hard label there; mask them, or score them again',
        got: faults.without_target,
      }),
    );
  }
  return found;
};

export const coverageRules = [duplicates, masks];
