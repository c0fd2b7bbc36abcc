/**
 * Rules over targets beside the tokens that came: shifted, of other ids, without their tail, at
 * another temperature. None needs the reference, which a wrong source makes as wrong as the rest.
 */
import type { AuditFidelity, AuditReport, Calibration, Finding } from '../../schemas/audit.ts';
import type { Manifest } from '../../schemas/manifest.ts';
import { brief as n } from '../distribution/rounded.ts';

/** Fewer positions than this tell nothing for sure. */
const positionsMin = 64;
/** Odds that chance exceeds: 5 standard errors are one in three million. */
const errorsMin = 5;
/**
 * Share of the hits that the teacher itself expects. The n-gram has 0.8 of them, the small LM 1.1;
 * ids of another tokenizer fit about as often as any ids would.
 */
const hitsMin = 0.2;
/**
 * Two tokenizers trained on like texts share short tokens: 0.21 of the hits for those at hand. So
 * few will do where the tokens surprise the teacher as if it were halfway to knowing nothing.
 */
const hitsSurprised = 0.35;
const surpriseShare = 0.5;
/**
 * Next tokens outside the stored entries, over the rest that is stored. An overconfident teacher
 * (the n-gram) comes to 2.2; a renormalised list has no rest at all.
 */
const outsideMax = 5;
/** Renormalised lists of which rounding dropped the least entries have this much rest at most. */
const outsideLeast = 0.002;
/** Fitted temperature, either way, of foreign texts: the n-gram has 1.17, the small LM 0.93. */
const temperatureForeign = { warning: 1.25, fault: 1.5 } as const;
/** Of texts that the teacher wrote itself at temperature 1, which it cannot be wrong about. */
const temperatureOwn = { warning: 1.1, fault: 1.1 } as const;
/** Standard errors that the fit must lie beyond the limit. */
const fitErrors = 3;
/** Mean |Δ log p| of a label and its own entry. Rounding of entries compared makes 0.02 at most. */
const labelGapMax = 0.1;

interface Judged {
  readonly set: AuditFidelity;
  readonly calibration: Calibration;
  readonly report: AuditReport;
  readonly manifest: Manifest;
}

/** What a rule over one set found. */
type Found = Omit<Finding, 'section' | 'target_set'> | undefined;

/** Applies a rule to each set that has enough positions. */
const eachSet =
  (rule: (judged: Judged) => Found) =>
  (report: AuditReport, manifest: Manifest): Finding[] =>
    report.fidelity.flatMap((set) => {
      const { calibration } = set;
      if (calibration === null || calibration.positions < positionsMin) return [];
      const found = rule({ set, calibration, report, manifest });
      return found ? [{ ...found, section: 'fidelity', target_set: set.target_set }] : [];
    });

const isMisaligned = ({ alignment }: AuditReport, set: string) =>
  alignment.some(
    ({ target_set, best, positions }) =>
      target_set === set && best !== null && best !== 0 && positions >= positionsMin,
  );

/**
 * Whether next tokens are a sample of the teacher's own distribution, as written; undefined where
 * they were chosen otherwise, so that no distribution can be judged by them.
 */
function ownTokens({ responses }: Manifest): boolean | undefined {
  if (responses === undefined) return false;
  const { temperature, top_p } = responses.sampling;
  return temperature === 1 && top_p === 1 ? true : undefined;
}

const misaligned = (report: AuditReport): Finding[] =>
  report.alignment.flatMap(({ target_set, best, before, at, after, positions, shards }) => {
    const finding = (where: string, got: unknown, better: number): Finding => ({
      code: 'misaligned',
      severity: 'fault',
      section: 'alignment',
      target_set,
      message:
        `alignment: ${where}the distributions fit shift ${better} better than the next token: ` +
        'a student would learn the wrong position; build again with the rows moved by one',
      expected: 'best at shift 0',
      got,
    });
    const whole = best !== null && best !== 0 && positions >= positionsMin;
    if (whole) return [finding('', { before, at, after }, best)];
    return shards.rows
      .filter((row) => row.positions >= positionsMin && row.at < Math.max(row.before, row.after))
      .map((row) => finding(`in ${row.name} `, row, row.before > row.after ? -1 : 1));
  });

/** Hits against those that the teacher expects: of its first choice, or of what is above τ. */
const otherIds = eachSet(({ set, calibration, report, manifest }) => {
  if (isMisaligned(report, set.target_set)) return undefined;
  const { positions, top1, outside, rest, entropy, surprise } = calibration;
  const first = set.mass_by_k.at(0)?.mass;
  const [hits, expected] = first ? [top1, first] : [1 - (outside ?? 0), 1 - (rest ?? 0)];
  const nothing = Math.log(manifest.label_space.size);
  // tokens outside a renormalised list surprise without bound, whatever their tokenizer
  const isSurprised =
    (rest ?? 0) > outsideLeast && surprise - entropy > surpriseShare * (nothing - entropy);
  const tooFew = hits < (isSurprised ? hitsSurprised : hitsMin) * expected;
  const error = Math.sqrt((expected * (1 - hitsMin)) / positions);
  if (!tooFew || expected - hits < errorsMin * error) return undefined;
  return {
    code: 'tokenizer-mismatch',
    severity: 'fault',
    message:
      `fidelity: the likeliest entries are the next token at ${n(100 * hits)} % of positions, ` +
      `the teacher expects ${n(100 * expected)} %: its ids are of another tokenizer than the ` +
      "tokens; tokenise the texts with the teacher's own",
    expected,
    got: hits,
  };
});

const isTailCut = ({ calibration: { positions, outside, rest } }: Judged) => {
  if (outside === null || rest === null) return false;
  const error = Math.sqrt(Math.max(rest, outside / outsideMax) / positions);
  return outside - rest > errorsMin * error && outside > outsideMax * rest + outsideLeast;
};

const isFound = (rule: typeof otherIds, { report, manifest, set }: Judged) =>
  rule(report, manifest).some(({ target_set }) => target_set === set.target_set);

const temperatureWrong = eachSet((judged) => {
  const { set, calibration, report, manifest } = judged;
  const { temperature_fitted: fitted, temperature_error: error } = calibration;
  const own = ownTokens(manifest);
  if (fitted === null || error === null || own === undefined || set.temperature !== 1) return;
  if (isMisaligned(report, set.target_set) || isFound(otherIds, judged)) return undefined;
  const limits = own ? temperatureOwn : temperatureForeign;
  const off = Math.abs(Math.log(fitted)) - (fitErrors * error) / fitted;
  if (off < Math.log(limits.warning)) return undefined;
  return {
    code: 'temperature-wrong',
    severity: off < Math.log(limits.fault) ? 'warning' : 'fault',
    message:
      `fidelity: the next tokens fit temperature ${n(fitted)} ± ${n(error)} of what is stored as ` +
      'temperature 1: the log-probs were taken at another one, or the teacher is ' +
      `${fitted > 1 ? 'too sure' : 'not sure enough'} of these texts; have them scored at 1`,
    expected: 1,
    got: fitted,
  };
});

const tailRenormalised = eachSet((judged) => {
  const { set, calibration, report, manifest } = judged;
  const { outside, rest } = calibration;
  const skipped = isMisaligned(report, set.target_set) || ownTokens(manifest) === undefined;
  if (skipped || isFound(otherIds, judged) || !isTailCut(judged)) return undefined;
  // a teacher that is too sure leaves too small a rest, but one
  if ((rest ?? 0) > outsideLeast && isFound(temperatureWrong, judged)) return undefined;
  const isDrawn = set.kind === 'unbiased';
  return {
    code: isDrawn ? 'sampling-biased' : 'tail-renormalised',
    severity: 'fault',
    message:
      `fidelity: ${n(100 * (outside ?? 0))} % of next tokens lie outside the entries ` +
      `${isDrawn ? 'above τ' : 'stored'}, to which the targets leave ${n(100 * (rest ?? 0))} %: ` +
      'the tail was dropped, and a student learns that it never happens; ' +
      'build from log-probs that are normalised over the whole vocabulary',
    expected: outside,
    got: rest,
  };
});

const labelDisagrees = eachSet(({ calibration: { label_gap: gap } }) => {
  if (gap === null || gap.mean <= labelGapMax) return undefined;
  return {
    code: 'label-disagrees',
    severity: 'fault',
    message:
      `fidelity: the stored log-prob of the next token differs from its own entry by ` +
      `${n(gap.mean)} nats on average: one of them is at another temperature or normalised ` +
      'otherwise; build both from the same log-probs',
    expected: `at most ${labelGapMax}`,
    got: gap.mean,
  };
});

export const tokenRules = [
  misaligned,
  otherIds,
  tailRenormalised,
  temperatureWrong,
  labelDisagrees,
];
