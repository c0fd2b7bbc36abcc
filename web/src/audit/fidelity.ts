/** How far the stored targets are from the teacher, and how they agree with the tokens. */
import { type Child, h } from '../element.ts';
import { count, number, percent } from '../format.ts';
import { chart } from '../parts/chart.ts';
import { facts } from '../parts/facts.ts';
import { table } from '../parts/table.ts';
import type { AuditReport, Fidelity } from '../types.ts';
import { histogramChart } from './histogram.ts';

type Found = AuditReport['fidelity'][number];

export function fidelityPart(found: Found): HTMLElement {
  const { target_set, kind, measured, calibration, bias, rest } = found;
  const weights = kind === 'unbiased' ? ' of stored weights' : '';
  return h(
    'section',
    { 'aria-label': `Fidelity of ${target_set}` },
    h('h3', null, 'Fidelity of ', h('code', null, target_set)),
    facts([
      ['Against the reference', measured ? summaryOf(measured) : 'there is none'],
      [
        'Temperature',
        `${number(found.temperature)}${found.temperature_exact ? '' : ', approximate'}`,
      ],
      ...agreement(calibration),
    ]),
    h(
      'div',
      { class: 'charts' },
      histogramChart({
        caption: `Entropy${weights} by position`,
        xName: 'nats',
        yName: 'positions',
        histogram: found.entropy,
      }),
      rest !== null &&
        histogramChart({
          caption: 'Rest: the mass that is not stored, by position',
          xName: 'mass',
          yName: 'positions',
          histogram: rest,
        }),
      found.mass_by_k.length > 1 && massByK(found),
    ),
    bias !== null && bias.length > 0 && biasTable(bias),
    found.log_z.length > 0 && logZ(found),
  );
}

function summaryOf({ kl, squared_error, mass, positions }: Fidelity): string {
  const of = `${count(positions)} positions`;
  const means = (one: { mean: number; p99: number }) =>
    `mean ${number(one.mean)}, p99 ${number(one.p99)}`;
  if (kl !== null) return `KL ${means(kl)} nats; mass kept ${number(mass)} (${of})`;
  if (squared_error === null) return `mass ${number(mass)} (${of})`;
  return `variance ${means(squared_error)}; weights sum to ${mass.toFixed(4)} (${of})`;
}

function agreement(found: Found['calibration']): (readonly [string, Child])[] {
  if (found === null) return [];
  const { rest, outside, temperature_fitted: fitted } = found;
  return [
    ['Entropy', `${number(found.entropy)} nats`],
    ['Surprise', `${number(found.surprise)} nats, of the tokens that came`],
    ['Most probable is next', percent(found.top1)],
    [
      'Rest',
      rest !== null && outside !== null && `${percent(rest)}; ${percent(outside)} fell into it`,
    ],
    ['Temperature that fits', fitted !== null && number(fitted)],
  ];
}

function massByK({ mass_by_k }: Found): HTMLElement {
  return chart({
    caption: 'Mass of the k most probable entries',
    kind: 'line',
    xName: 'k',
    labels: mass_by_k.map(({ k }) => String(k)),
    series: [{ name: 'mass', values: mass_by_k.map(({ mass }) => mass) }],
  });
}

function biasTable(bias: NonNullable<Found['bias']>): HTMLElement {
  return table({
    caption: 'Weights against the reference, by probability',
    columns: [
      { name: 'Probability' },
      { name: 'Entries', numeric: true },
      { name: 'Sum of weight − p', numeric: true },
      { name: 'in standard errors', numeric: true },
    ],
    rows: bias.map(({ p_min, p_max, entries, error, z }) => [
      `${number(p_min)} to ${number(p_max)}`,
      count(entries),
      number(error),
      number(z),
    ]),
  });
}

function logZ({ log_z }: Found): HTMLElement {
  return table({
    caption: 'Stored log Z of other temperatures',
    columns: [
      { name: 'Temperature' },
      { name: 'Impossible values', numeric: true },
      { name: 'by at most, nats', numeric: true },
    ],
    rows: log_z.map(({ temperature, violations, gap }) => [
      number(temperature),
      count(violations),
      number(gap),
    ]),
  });
}
