/** What the two forms of an audit report say alike: verdict, findings, figures. */

import type {
  AuditAlignment,
  AuditFidelity,
  AuditReport,
  AuditSize,
  DriftReport,
  Finding,
} from '../../schemas/audit.ts';
import type { Fidelity } from '../../schemas/manifest.ts';
import { formatBytes, formatCount } from './command.ts';

/** The report, and the drift where another target set was named. */
export interface Audited {
  readonly report: AuditReport;
  readonly drift: DriftReport | undefined;
}

export type Verdict = 'good' | 'doubtful' | 'bad';

export function verdictOf({ findings }: Pick<AuditReport, 'findings'>): Verdict {
  if (findings.some(({ severity }) => severity === 'fault')) return 'bad';
  return findings.length > 0 ? 'doubtful' : 'good';
}

const many = (count: number, one: string) =>
  `${formatCount(count)} ${one}${count === 1 ? '' : 's'}`;

export function verdictText(report: Pick<AuditReport, 'findings' | 'partial'>): string {
  const faults = report.findings.filter(({ severity }) => severity === 'fault').length;
  const warnings = report.findings.length - faults;
  const found = [
    ...(faults > 0 ? [many(faults, 'fault')] : []),
    ...(warnings > 0 ? [many(warnings, 'warning')] : []),
  ];
  const what = found.length === 0 ? 'nothing found' : found.join(', ');
  return report.partial ? `${what} in what was read so far` : what;
}

/** `expected X, got Y` of a finding, where it has them. */
export function detailsText({ expected, got }: Finding): string {
  const show = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));
  const parts: string[] = [];
  if (expected !== undefined && expected !== null) parts.push(`expected ${show(expected)}`);
  if (got !== undefined && got !== null) parts.push(`got ${show(got)}`);
  return parts.join(', ');
}

export const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
export const ratio = (times: number) => `${times >= 100 ? times.toFixed(0) : times.toFixed(1)} ×`;
export const perPosition = (bytes: number) =>
  `${bytes >= 1000 ? formatCount(bytes) : bytes.toFixed(bytes < 10 ? 2 : 1)} B`;

export function moneyText(value: number, currency: string): string {
  if (value > 0 && value < 0.005) return `under 0.01 ${currency}`;
  return `${value >= 1000 ? formatCount(value) : value.toFixed(2)} ${currency}`;
}

/** Three significant digits, small ones as powers of ten; whole numbers whole. */
export function figure(value: number): string {
  const size = Math.abs(value);
  if (Number.isInteger(value)) return formatCount(value);
  return size < 0.001 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}

export function summaryText({ mean, p99, max }: NonNullable<Fidelity['kl']>): string {
  return `mean ${figure(mean)}, p99 ${figure(p99)}, max ${figure(max)}`;
}

/** Mean log-probs with a minus sign as it is written. */
export const logProb = (value: number) => value.toFixed(2).replace('-', '−');

/** Why there is nothing to tell of alignment: what has target sets all the same are images. */
export function noAlignmentText({ fidelity }: Pick<AuditReport, 'fidelity'>): string {
  return fidelity.length === 0 ? 'no target sets' : 'images: nothing follows them';
}

export function bestText({ best }: Pick<AuditAlignment, 'best'>): string {
  if (best === null) return 'nothing to tell by';
  return best === 0 ? 'best at 0' : `best at ${best === 1 ? '+1' : '−1'}: misaligned`;
}

/** Savings that nothing smaller loses as little as, least bytes first, of one target set. */
export function frontOf({ savings }: AuditSize, targetSet: string): AuditSize['savings']['rows'] {
  const own = savings.rows
    .filter(({ target_set, bytes_saved }) => target_set === targetSet && bytes_saved > 0)
    .sort((a, b) => a.bytes_per_position - b.bytes_per_position);
  const lossOf = ({ kl, variance }: (typeof own)[number]) => kl ?? variance ?? 0;
  return own.filter((row, i) => own.slice(0, i).every((other) => lossOf(other) > lossOf(row)));
}

export function lossText({ kl, variance }: AuditSize['savings']['rows'][number]): string {
  if (kl === null) return `variance +${figure(variance ?? 0)}`;
  return `KL ${figure(kl)}`;
}

export function savedText(bytes: number): string {
  return bytes < 0 ? `costs ${formatBytes(-bytes)}` : `saves ${formatBytes(bytes)}`;
}

export function imagesSizeText({ count, bytes }: NonNullable<AuditSize['images']>): string {
  return `${many(count, 'stored image')}, ${formatBytes(bytes)} beside`;
}

export function imagesText(images: NonNullable<AuditReport['integrity']['images']>): string {
  const { stored, checked, skipped, wrong } = images;
  const found = wrong === 0 ? 'as the teacher saw them' : `${wrong} missing or changed`;
  const others = skipped > 0 ? `; ${skipped} at other addresses` : '';
  return `${checked} ${stored ? 'stored ones ' : ''}read, ${found}${others}`;
}

/** Name and value of each thing that was measured of a target set. */
export function fidelityRows(fidelity: AuditFidelity): [name: string, value: string][] {
  const { measured, kl_all, total_variation, calibration, log_z } = fidelity;
  const rows: [string, string][] = [];
  const add = (name: string, value: string) => rows.push([name, value]);
  if (measured === null) add('reference', 'none: nothing to compare with');
  if (measured?.kl != null) add('KL, rest as one cell, nats', summaryText(measured.kl));
  if (measured?.kl_spread != null) add('KL over all ids, nats', summaryText(measured.kl_spread));
  if (kl_all !== null) add('KL over the whole reference, nats', summaryText(kl_all));
  if (total_variation !== null) add('total variation', summaryText(total_variation));
  if (measured?.squared_error != null) add('variance', summaryText(measured.squared_error));
  if (measured !== null) {
    const name = fidelity.kind === 'scaled' ? 'mass kept' : 'weights sum to';
    add(name, `${measured.mass.toFixed(4)} (${many(measured.positions, 'reference position')})`);
  }
  add('temperature', `${fidelity.temperature}${fidelity.temperature_exact ? '' : ', inexact'}`);
  for (const { temperature, violations, gap } of log_z) {
    const state = violations === 0 ? 'as the entries allow' : `${violations} violations`;
    add(`log Z at ${temperature}`, gap > 0 ? `${state}, gap ${figure(gap)}` : state);
  }
  if (calibration === null) return rows;
  const { entropy, surprise, top1, rest, outside, temperature_fitted } = calibration;
  add('entropy, surprise', `${figure(entropy)}, ${figure(surprise)} nats`);
  if (rest !== null && outside !== null) {
    add('rest, tokens outside', `${percent(rest)}, ${percent(outside)}`);
  }
  if (temperature_fitted !== null) add('temperature fitted', figure(temperature_fitted));
  add('top-1 agreement', percent(top1));
  return rows;
}

export function driftName({ dataset, snapshot, target_set }: DriftReport['before']): string {
  return `${dataset}@${snapshot.slice(0, 12)}:${target_set}`;
}

export function driftRows(drift: DriftReport): [name: string, value: string][] {
  const { samples, positions, kl, kl_back, total_variation, top1 } = drift;
  const rows: [string, string][] = [
    ['before', driftName(drift.before)],
    ['after', driftName(drift.after)],
    [
      'samples',
      `${formatCount(samples.both)} in both, ${formatCount(samples.before_only)} only before, ` +
        `${formatCount(samples.after_only)} only after`,
    ],
    ['positions', formatCount(positions)],
  ];
  if (kl !== null) rows.push(['KL(before ‖ after), nats', summaryText(kl)]);
  if (kl_back !== null) rows.push(['KL(after ‖ before), nats', summaryText(kl_back)]);
  if (total_variation !== null) rows.push(['total variation', summaryText(total_variation)]);
  rows.push(['same top entry', percent(top1)]);
  return rows;
}
