/** The picture of a storage plan: bytes a position against what is lost, a panel a measure. */
import { otherFormats } from '../audit/other-formats.ts';
import { type StorageChoice, stepText } from '../audit/storage-choices.ts';
import type { StoragePlan } from '../build/plan-storage.ts';
import type { Compression } from '../encode/compression.ts';
import { type ChartPanel, type ChartSeries, renderChart } from '../formats/svg-chart.ts';
import { formatCount } from './command.ts';
import { sparsifierText } from './storage-text.ts';

export function storagePicture(plan: StoragePlan): string {
  const { teacher, vocabulary, sampled } = plan;
  return renderChart({
    title: `What targets cost: teacher ${teacher.name}, V = ${formatCount(vocabulary)}`,
    notes: [
      `${formatCount(sampled.positions)} positions measured. Filled: zstd, hollow: lz4. ` +
        'Along a line the step on √p changes: fine, standard, 0.03.',
    ],
    xTitle: 'bytes a position of targets',
    panels: [
      scaledPanel(plan, 'KL of the kept entries and the rest, nats: what rounding loses', 'kl'),
      scaledPanel(plan, 'KL over all ids, the rest spread evenly, nats: the tail too', 'klSpread'),
      unbiasedPanel(plan),
    ],
  });
}

function scaledPanel(
  { choices, vocabulary }: StoragePlan,
  title: string,
  measure: 'kl' | 'klSpread',
): ChartPanel {
  const scaled = choices.filter(({ kind }) => kind === 'scaled');
  const names = [...new Set(scaled.map(({ sparsifier }) => sparsifierText(sparsifier)))];
  const series = names.flatMap((name, i) => {
    const own = scaled.filter(({ sparsifier }) => sparsifierText(sparsifier) === name);
    // the steps are named once, beside the leftmost line
    const labelOf = ({ step }: StorageChoice) =>
      i === 0 && measure === 'kl' ? { text: stepText(step), side: 'left' as const } : undefined;
    return lines(name, own, { lossOf: (choice) => choice[measure]?.mean ?? 0, labelOf });
  });
  const raw = otherFormats(vocabulary).find(({ name }) => name.startsWith('codec raw'));
  return { title, series, rules: raw === undefined ? [] : [{ x: raw.bytes, text: raw.name }] };
}

function unbiasedPanel({ choices, draws }: StoragePlan): ChartPanel {
  const unbiased = choices.filter(({ kind }) => kind === 'unbiased');
  const steps = [...new Set(unbiased.map(({ step }) => step))];
  const series = steps.flatMap((step, i) => {
    const own = unbiased.filter((choice) => choice.step === step);
    // τ is named once, beside the leftmost line
    const labelOf = ({ sparsifier }: StorageChoice) =>
      i === steps.length - 1
        ? { text: sparsifierText(sparsifier).replace('threshold ', ''), side: 'left' as const }
        : undefined;
    const lossOf = ({ variance }: StorageChoice) => variance?.mean ?? 0;
    return lines(`threshold, step ${stepText(step)}`, own, { lossOf, labelOf });
  });
  if (draws !== null) {
    const points = [{ x: draws.bytes, y: draws.variance }];
    series.push({ name: '50 draws × 24 bits', line: 'none', points });
  }
  return { title: 'Variance of unbiased targets', series, rules: [] };
}

function lines(
  name: string,
  choices: readonly StorageChoice[],
  options: {
    lossOf: (choice: StorageChoice) => number;
    labelOf: (choice: StorageChoice) => { text: string; side: 'left' | 'right' } | undefined;
  },
): ChartSeries[] {
  const { lossOf, labelOf } = options;
  const of = (compression: Compression, line: 'solid' | 'dashed'): ChartSeries => ({
    name,
    line,
    points: choices.map((choice) => ({
      x: choice.bytes[compression],
      y: lossOf(choice),
      label: line === 'solid' ? labelOf(choice) : undefined,
    })),
  });
  return [of('lz4', 'dashed'), of('zstd', 'solid')];
}
