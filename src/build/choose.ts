/** The rules that a configuration asks for, solved for its budget if it has one. */
import { headOf, headsOf } from '../capture/heads.ts';
import type { Head, Source } from '../capture/source.ts';
import { steps } from '../encode/levels.ts';
import { LogitcaskError } from '../errors.ts';
import { type ChosenConfig, kindOf, type Rules, rulesAt } from './rules.ts';
import { solveBytes } from './solve-bytes.ts';
import { solveStep, stepRange } from './solve-kl.ts';

export const tauDefault = 0.02;
/** Bounds within which a budget of bytes is solved for. */
const tauRange = { low: 1e-4, high: 0.5 } as const;

/**
 * One for each head of the source. Errors: `config-invalid` where a budget cannot be met, or what
 * it chooses is given as well.
 */
export async function chooseRules(config: ChosenConfig, source: Source): Promise<Rules[]> {
  const rules: Rules[] = [];
  const heads = headsOf(source);
  // only distributions have a KL: beside them sigmoid scores have the default step
  const solved = heads.some((head) => !isSigmoid(head));
  const beside = solved ? { ...config, budget: { ...config.budget, max_kl: undefined } } : config;
  for (const [i, head] of heads.entries()) {
    rules.push(await chooseFor(isSigmoid(head) ? beside : config, headOf(source, i), head));
  }
  return rules;
}

const isSigmoid = (head?: Head) => head?.normalisation === 'sigmoid';

async function chooseFor(
  config: ChosenConfig,
  source: Source,
  head: Head | undefined,
): Promise<Rules> {
  const { sparsifier, codec, budget } = config;
  const tau = (sparsifier.type === 'threshold' ? sparsifier.tau : undefined) ?? tauDefault;
  const fixed = { step: stepOf(config, head), tau, width: source.identity.vocabulary, head };
  const { max_kl: klMax, bytes_per_position: bytesMax } = budget;
  if (klMax === undefined && bytesMax === undefined) return rulesAt(config, fixed);
  checkBudget(config, head);
  if (klMax !== undefined) {
    const step = await solveStep(source, { sparsifier: rulesAt(config, fixed).sparsifier, klMax });
    return rulesAt(config, { ...fixed, step });
  }
  const solvesTau = sparsifier.type === 'threshold';
  const at = (value: number) =>
    rulesAt({ sparsifier, codec }, { ...fixed, [solvesTau ? 'tau' : 'step']: value });
  const { high } = solvesTau ? tauRange : stepRange;
  const low = solvesTau ? Math.max(tauRange.low, fixed.step ** 2 * 1.0001) : stepRange.low;
  return at(await solveBytes(source, { at, low, high, bytesMax: bytesMax as number }));
}

/** Of images the step that a KL allows at the entries kept, KL ≈ n·step²/6: classes are few. */
const klOfStep = { fine: 1e-4, standard: 1e-3 } as const;

function stepOf({ sparsifier, codec }: ChosenConfig, head?: Head): number {
  const step = codec.type === 'raw' ? undefined : codec.step;
  if (typeof step === 'number') return step;
  if (head !== undefined && sparsifier.type !== 'threshold') {
    const most = sparsifier.type === 'top-k' ? sparsifier.k : sparsifier.cap;
    const entries = Math.min(most, head.labelSpace.size);
    return Math.floor(1e4 * Math.sqrt((6 * klOfStep[step ?? 'standard']) / entries)) / 1e4;
  }
  return steps[step ?? (kindOf(sparsifier) === 'scaled' ? 'fine' : 'standard')];
}

function checkBudget({ sparsifier, codec, budget }: ChosenConfig, head?: Head): void {
  const refuse = (what: string, expected: string, got: unknown) => {
    throw new LogitcaskError('config-invalid', `config: ${what}`, { expected, got });
  };
  if (isSigmoid(head)) {
    refuse('no budget is solved for sigmoid scores; give codec.step', 'no budget', budget);
  } else if (codec.type === 'raw') {
    refuse('codec raw is lossless and takes no budget; take codec planes', 'planes', 'raw');
  } else if (sparsifier.type === 'threshold') {
    if (budget.max_kl !== undefined) {
      refuse(
        'unbiased targets have a variance, no KL; give budget.bytes_per_position, or tau',
        'budget.bytes_per_position',
        'budget.max_kl',
      );
    }
    if (sparsifier.tau !== undefined) {
      refuse('a budget chooses tau; leave one of them out', 'no tau', sparsifier.tau);
    }
  } else if (codec.step !== undefined) {
    refuse('a budget chooses the step; leave one of them out', 'no step', codec.step);
  }
}
