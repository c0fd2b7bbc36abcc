/** A storage plan in words: tables, what others take, and a recommendation. */
import { otherFormats } from '../audit/other-formats.ts';
import { flagsOf, type StorageChoice, stepText } from '../audit/storage-choices.ts';
import type { StoragePlan } from '../build/plan-storage.ts';
import type { StorageAdvice } from '../build/storage-advice.ts';
import type { SparsifierOptions } from '../sparsify/table.ts';
import { formatBytes, formatCount, formatTable } from './command.ts';

export function sparsifierText(sparsifier: SparsifierOptions): string {
  switch (sparsifier.type) {
    case 'top-k':
    case 'independent':
      return `top-k ${sparsifier.k}`;
    case 'top-p':
      return `top-p ${sparsifier.p}`;
    case 'threshold':
      return `threshold τ=${sparsifier.tau}`;
  }
}

const nameOf = ({ sparsifier, step }: StorageChoice) =>
  `${sparsifierText(sparsifier)} ${stepText(step)}`;

export const besideBytes = ({ beside }: StoragePlan) =>
  Object.values(beside).reduce((sum, bytes) => sum + bytes, 0);

/** Positions that the cost is given for. */
const positionsOf = ({ positions }: StoragePlan) => positions ?? 1e6;

/** Bytes of shards with such targets, all columns counted. */
export const costOf = (plan: StoragePlan, bytes: number) =>
  positionsOf(plan) * (bytes + besideBytes(plan));

const small = (value: number | undefined) => value?.toExponential(1) ?? '–';
const bytesText = (bytes: number) => (bytes >= 1000 ? formatCount(bytes) : bytes.toFixed(1));

export function describeStorage(plan: StoragePlan, advice: StorageAdvice): string {
  const { teacher, vocabulary, sampled, beside, draws } = plan;
  const { tokens, mask, labelLogprob, logZ, sample } = beside;
  const extra = logZ === 0 ? '' : `, log Z ${logZ}`;
  const samples = sampled.samples === 1 ? '1 sample' : `${formatCount(sampled.samples)} samples`;
  const unknown = plan.positions === null ? ' (give --positions for yours)' : '';
  const head = [
    `${teacher.name}: ${formatCount(sampled.positions)} positions in ${samples} measured, ` +
      `V = ${formatCount(vocabulary)}`,
    `data set: shards of ${formatCount(positionsOf(plan))} positions${unknown}, with ` +
      `${besideBytes(plan).toFixed(2)} B a position beside the targets`,
    `  (tokens ${tokens}, mask ${mask.toFixed(2)}, label log-prob ${labelLogprob}${extra}, ` +
      `sample ids and such ${sample.toFixed(2)})`,
  ];
  return [
    head.join('\n'),
    describeScaled(plan),
    draws === null ? noDraws : describeUnbiased(plan),
    describeOthers(plan),
    describeAdvice(plan, advice),
  ].join('\n\n');
}

const noDraws =
  'Unbiased targets: left out; `threshold` draws from whole distributions, and the source gives ' +
  'top lists.';

/** What both tables begin with. */
function costCells(plan: StoragePlan, choice: StorageChoice): string[] {
  const { sparsifier, step, entries, bytes, front } = choice;
  const cost = formatBytes(costOf(plan, bytes.zstd));
  return [
    `${front ? '*' : ' '} ${sparsifierText(sparsifier)}`,
    stepText(step),
    entries.toFixed(1),
    bytesText(bytes.zstd),
    bytesText(bytes.lz4),
    cost,
  ];
}

const costHead = ['', 'step', 'entries', 'zstd', 'lz4', 'data set'];

function describeScaled(plan: StoragePlan): string {
  const rows = plan.choices
    .filter(({ kind }) => kind === 'scaled')
    .map((choice) => [
      ...costCells(plan, choice),
      small(choice.kl?.mean),
      small(choice.kl?.p99),
      choice.klSpread?.mean.toPrecision(2) ?? '–',
      `${(100 * (choice.mass ?? 0)).toFixed(1)} %`,
    ]);
  return [
    'Scaled targets: bytes a position by compression; KL in nats, with the rest as one cell, and',
    'over all ids with the rest spread evenly (* nothing smaller loses as little, to within 5 %)',
    formatTable([[...costHead, 'KL', 'p99', 'KL all ids', 'mass kept'], ...rows]),
  ].join('\n');
}

function describeUnbiased(plan: StoragePlan): string {
  const rows = plan.choices
    .filter(({ kind }) => kind === 'unbiased')
    .map((choice) => [
      ...costCells(plan, choice),
      small(choice.variance?.mean),
      small(choice.variance?.p99),
    ]);
  return [
    'Unbiased targets: variance Σ E(weight − p)² of drawing and rounding, in closed form',
    formatTable([[...costHead, 'variance', 'p99'], ...rows]),
  ].join('\n');
}

function describeOthers(plan: StoragePlan): string {
  const rows = otherFormats(plan.vocabulary).map(({ name, bytes }) => [
    name,
    bytesText(bytes),
    formatBytes(costOf(plan, bytes)),
    '',
  ]);
  if (plan.draws !== null) {
    const { bytes, variance } = plan.draws;
    const cost = formatBytes(costOf(plan, bytes));
    rows.push(['50 random draws × 24 bits', bytesText(bytes), cost, `variance ${small(variance)}`]);
  }
  return `What others take, by arithmetic\n${formatTable(rows)}`;
}

function describeAdvice(plan: StoragePlan, { unbiased, scaled, standard }: StorageAdvice): string {
  const lines = ['Recommendation'];
  const add = (choice: StorageChoice, ...about: string[]) => {
    const { zstd } = choice.bytes;
    const ratio = standard.bytes.zstd / zstd;
    const apart = ratio >= 1 ? `${ratio.toFixed(1)} × under` : `${(1 / ratio).toFixed(1)} × over`;
    const beside = choice === standard ? '' : `, the targets ${apart} ${nameOf(standard)}`;
    const cost = formatBytes(costOf(plan, zstd));
    lines.push(
      `  ${nameOf(choice)} at ${bytesText(zstd)} B a position (build ${flagsOf(choice)}):`,
      `    ${cost} for ${formatCount(positionsOf(plan))} positions${beside}`,
      ...about.map((line) => `    ${line}`),
    );
  };
  const { kl, mass } = scaled;
  const left = (100 - 100 * (mass ?? 0)).toFixed(1);
  const lost = `KL ${small(kl?.mean)} nats; ${left} % of the mass is left in the rest`;
  if (unbiased !== null && plan.draws !== null) {
    const { bytes, variance } = plan.draws;
    const own = small(unbiased.variance?.mean);
    add(
      unbiased,
      `variance ${own}; 50 random draws have ${small(variance)} at ${bytesText(bytes)} B`,
    );
    lines.push('  Only for temperatures other than 1, or exact probabilities of the top entries:');
  } else if (plan.draws !== null) {
    lines.push('  Other temperatures are asked for, and a draw belongs to one: take a list.');
  }
  add(scaled, lost);
  return lines.join('\n');
}
