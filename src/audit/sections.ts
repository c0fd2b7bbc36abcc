/** Sections of an audit that are put together from several measurements. */
import type { AuditFidelity } from '../../schemas/audit.ts';
import type { ResolvedSnapshot } from '../shard/snapshot.ts';
import { distributionReports } from './distributions.ts';
import { comparisonReport } from './fidelity.ts';
import type { TallyValues } from './tallies.ts';

/** One a target set: the distributions themselves, and what the reference says of them. */
export function fidelityOf(
  { manifest }: ResolvedSnapshot,
  { distributions, reference }: TallyValues,
): AuditFidelity[] {
  const none = { measured: null, kl_all: null, total_variation: null, bias: null };
  return distributionReports(distributions, manifest).map((report, i) => {
    const set = manifest.target_sets[i];
    const isCompared = reference[i].masses.length > 0;
    const compared = isCompared ? comparisonReport(reference[i], set, manifest.totals) : none;
    return { ...report, ...compared, stated: set.fidelity };
  });
}
