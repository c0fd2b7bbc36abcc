/** What an audit will not bless: a table of rules over its report, one rule an entry. */
import type { AuditReport, Finding } from '../../schemas/audit.ts';
import type { Manifest } from '../../schemas/manifest.ts';
import { coverageRules } from './findings-coverage.ts';
import { fidelityRules } from './findings-fidelity.ts';
import { integrityRules } from './findings-integrity.ts';
import { tokenRules } from './findings-tokens.ts';

/** Pure: everything comes from the report and the manifest. One finding for each thing found. */
export type Rule = (report: AuditReport, manifest: Manifest) => Finding[];

/** In this order within a severity. */
const rules: readonly Rule[] = [
  ...integrityRules,
  ...tokenRules,
  ...fidelityRules,
  ...coverageRules,
];

/** Faults first. Also of a partial report, as far as it goes. */
export function findingsOf(report: AuditReport, manifest: Manifest): Finding[] {
  const found = rules.flatMap((rule) => rule(report, manifest));
  const of = (severity: Finding['severity']) => found.filter((one) => one.severity === severity);
  return [...of('fault'), ...of('warning')];
}
