/** Rules over what is stored beside the reference, and what the manifest states of it. */
import type { AuditFidelity, AuditReport, Finding } from '../../schemas/audit.ts';
import { brief as n } from '../distribution/rounded.ts';

/** z of a band: one in two million by chance, and honest draws have less than unit variance. */
const zMax = 5;
/** Below this the teacher's mass lies for the greater part where no entry tells of it. */
const massMin = 0.5;
/** Nats over all ids. Top-16 lists of the small LM, the flattest teacher at hand, lose 0.95. */
const klAllMax = 1.2;
/** A reference measured again gives the same figures: float sums may differ in the sixth digit. */
const statedSlack = 1.01;
const statedLeast = 1e-6;
/** KL over what rounding to levels explains (n·step²/6, true to a fifth); and of float32 alone. */
const predictedMax = 5;
const klLeast = 1e-3;
/** Share of the positions looked at. Single ones may lie at the edge of what rounding explains. */
const violationsMax = 0.01;

type Found = Omit<Finding, 'section' | 'target_set'> | undefined;

const eachSet =
  (rule: (set: AuditFidelity) => Found) =>
  ({ fidelity }: AuditReport): Finding[] =>
    fidelity.flatMap((set) => {
      const found = rule(set);
      return found ? [{ ...found, section: 'fidelity', target_set: set.target_set }] : [];
    });

const massLow = eachSet(({ kind, measured, mass_by_k, kl_all, calibration }) => {
  const seen = calibration ? mass_by_k.at(-1)?.mass : undefined;
  const mass = measured !== null && measured.positions > 0 ? measured.mass : seen;
  if (kind !== 'scaled' || mass === undefined) return undefined;
  const lost = kl_all?.mean ?? 0;
  if (mass >= massMin && lost <= klAllMax) return undefined;
  return {
    code: 'mass-low',
    severity: 'fault',
    message:
      `fidelity: the stored entries hold ${n(100 * mass)} % of the teacher's mass` +
      `${kl_all ? `, and the whole distribution is ${n(lost)} nats away` : ''}: too few entries ` +
      'for this teacher; store more, or draw them (--tau 0.02)',
    expected: { mass: `at least ${massMin}`, kl_all: `at most ${klAllMax}` },
    got: { mass, kl_all: lost },
  };
});

const samplingBiased = eachSet(({ bias }) => {
  const off = ({ z, z_spread }: { z: number; z_spread: number }) =>
    Math.max(Math.abs(z), Math.abs(z_spread));
  const worst = bias?.reduce((a, b) => (off(b) > off(a) ? b : a));
  if (worst === undefined || off(worst) <= zMax) return undefined;
  const isSpread = Math.abs(worst.z_spread) > Math.abs(worst.z);
  const band = worst.p_max === 0 ? 'beyond the lists' : `${worst.p_min} ≤ p < ${worst.p_max}`;
  return {
    code: 'sampling-biased',
    severity: 'fault',
    message:
      `fidelity: ${isSpread ? 'the squared errors of' : ''} weights of ids with ${band} are ` +
      `${n(off(worst))} standard errors off what honest draws give: they are no unbiased sample, ` +
      'and a student learns another distribution; draw them again with `threshold`',
    expected: `|z| ≤ ${zMax}`,
    got: worst,
  };
});

const worseThanStated = eachSet(({ measured, stated }) => {
  if (measured === null || stated === null) return undefined;
  const pairs = {
    kl: [measured.kl?.mean, stated.kl?.mean],
    kl_spread: [measured.kl_spread?.mean, stated.kl_spread?.mean],
    squared_error: [measured.squared_error?.mean, stated.squared_error?.mean],
  } as const;
  for (const [name, [got, expected]] of Object.entries(pairs)) {
    if (got === undefined || expected === undefined) continue;
    if (got <= expected * statedSlack + statedLeast) continue;
    return {
      code: 'fidelity-worse-than-stated',
      severity: 'fault',
      message:
        `fidelity: ${name} is ${n(got)} on the reference, the manifest states ` +
        `${n(expected)}: the targets are others than were measured; restore them, or build again`,
      expected,
      got,
    };
  }
  return undefined;
});

/** What was lost that rounding to levels does not explain. */
const fidelityLow = eachSet(({ measured }) => {
  const kl = measured?.kl?.mean;
  if (measured == null || kl === undefined) return undefined;
  const expected = predictedMax * (measured.kl_predicted ?? 0) + klLeast;
  if (kl <= expected) return undefined;
  return {
    code: 'fidelity-low',
    severity: 'fault',
    message:
      `fidelity: KL(teacher ‖ stored) is ${n(kl)} nats, rounding explains ` +
      `${n(measured.kl_predicted ?? 0)}: the targets are not those of the reference's teacher ` +
      '(renormalised, or at another temperature); build again from its own log-probs',
    expected: `at most ${n(expected)}`,
    got: kl,
  };
});

const logZWrong = ({ fidelity }: AuditReport): Finding[] =>
  fidelity.flatMap(({ target_set, log_z, calibration }) =>
    log_z
      .filter(({ violations }) => violations > violationsMax * (calibration?.positions ?? 0))
      .map(({ temperature, violations, gap }) => ({
        code: 'log-z-wrong',
        severity: 'fault' as const,
        section: 'fidelity' as const,
        target_set,
        message:
          `fidelity: log Z at temperature ${temperature} is impossible at ${violations} ` +
          `positions, by ${n(gap)} nats at most: requests for that temperature would give wrong ` +
          'probabilities; build again',
        expected: 'what the entries allow',
        got: gap,
      })),
  );

export const fidelityRules = [massLow, samplingBiased, worseThanStated, fidelityLow, logZWrong];
