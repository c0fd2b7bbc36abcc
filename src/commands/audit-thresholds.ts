/** What a caller asks of a snapshot beyond being sound: limits, and findings of missing them. */
import type { AuditFidelity, AuditReport, Finding } from '../../schemas/audit.ts';
import type { Manifest } from '../../schemas/manifest.ts';
import { LogitcaskError } from '../errors.ts';

export interface Thresholds {
  /** Mean KL of scaled targets in nats, the rest as one cell, as a build's `--max-kl`. */
  readonly maxKl?: number;
  /** Mean probability of the stored entries of scaled targets. */
  readonly minMass?: number;
  /** Of targets, as a build's `--bytes-per-position`. */
  readonly maxBytesPerPosition?: number;
}

/** Throws `request-invalid` where nothing of the snapshot can be held to a threshold. */
export function checkThresholds({ maxKl, minMass }: Thresholds, { target_sets }: Manifest): void {
  const flag = maxKl !== undefined ? '--max-kl' : '--min-mass';
  if (maxKl === undefined && minMass === undefined) return;
  if (target_sets.some(({ kind }) => kind === 'scaled')) return;
  const message = `audit: ${flag} is for scaled targets, and this snapshot has none; leave it out`;
  const got = target_sets.map(({ name, kind }) => `${name}: ${kind}`).join(', ') || 'no targets';
  throw new LogitcaskError('request-invalid', message, { expected: 'scaled targets', got });
}

/** Findings of section `threshold`, all of them faults. */
export function missedThresholds(report: AuditReport, thresholds: Thresholds): Finding[] {
  const { maxKl, minMass, maxBytesPerPosition } = thresholds;
  const scaled = report.fidelity.filter(({ kind }) => kind === 'scaled');
  const found: Finding[] = [];
  for (const own of maxKl === undefined ? [] : scaled) {
    const kl = own.measured?.kl?.mean ?? null;
    if (kl !== null && kl <= maxKl!) continue;
    const message =
      kl === null
        ? 'no mean KL is known: the snapshot has no reference'
        : 'the mean KL is over the limit';
    found.push({ ...missed('threshold-kl', message), ...of(own), expected: `≤ ${maxKl}`, got: kl });
  }
  for (const own of minMass === undefined ? [] : scaled) {
    const mass = massOf(own);
    if (mass !== null && mass >= minMass!) continue;
    const message =
      mass === null ? 'no mass is known: nothing is stored' : 'less mass is kept than asked for';
    const details = { expected: `≥ ${minMass}`, got: mass };
    found.push({ ...missed('threshold-mass', message), ...of(own), ...details });
  }
  const bytes = report.size.target_bytes_per_position;
  if (maxBytesPerPosition !== undefined && bytes > maxBytesPerPosition) {
    const message = 'targets take more bytes a position than allowed';
    const details = { expected: `≤ ${maxBytesPerPosition}`, got: bytes };
    found.push({ ...missed('threshold-bytes', message), target_set: null, ...details });
  }
  return found;
}

const missed = (code: string, message: string) =>
  ({ code, severity: 'fault', section: 'threshold', message }) as const;
const of = ({ target_set }: AuditFidelity) => ({ target_set });

/** The teacher's mass at the reference positions, or without them that of all stored entries. */
function massOf({ measured, mass_by_k }: AuditFidelity): number | null {
  return measured?.mass ?? mass_by_k.at(-1)?.mass ?? null;
}
