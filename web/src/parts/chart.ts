/**
 * Charts over steps of equal width (bins, ks, shards), painted by uPlot, with their numbers as a
 * table for those who do not see them. The library is fetched with the first chart.
 */
import type { Axis, Options, Series } from 'uplot';
import { h } from '../element.ts';
import { number } from '../format.ts';
import { table } from './table.ts';

export interface ChartSeries {
  readonly name: string;
  readonly values: readonly number[];
}

export interface ChartOptions {
  readonly caption: string;
  readonly kind: 'bars' | 'line';
  readonly xName: string;
  /** One a value; with `edges` one more: the limits of the bins. */
  readonly labels: readonly string[];
  readonly edges?: boolean;
  readonly series: readonly ChartSeries[];
}

const height = 190;
const dashes = [[], [7, 4], [2, 3]] as const;
const dashNames = ['———', '– – –', '· · ·'];

export function chart(options: ChartOptions): HTMLElement {
  const { caption, series } = options;
  const place = h('div', { class: 'plot', role: 'img', 'aria-label': caption });
  const legend = series.map(({ name }, i) =>
    h('span', { class: `key series-${i}` }, `${dashNames[i]} ${name}`),
  );
  const figure = h(
    'figure',
    { class: 'chart' },
    h('figcaption', null, caption),
    series.length > 1 && h('p', { class: 'legend' }, legend),
    place,
    h('details', null, h('summary', null, 'Numbers'), numbers(options)),
  );
  void paint(place, options);
  return figure;
}

function numbers({ caption, xName, labels, edges, series }: ChartOptions): HTMLElement {
  const { length } = series[0].values;
  const name = (i: number) => (edges ? `${labels[i]} to ${labels[i + 1]}` : labels[i]);
  return table({
    caption,
    hiddenCaption: true,
    columns: [{ name: xName }, ...series.map((one) => ({ name: one.name, numeric: true }))],
    rows: Array.from({ length }, (_, i) => [
      name(i),
      ...series.map(({ values }) => number(values[i])),
    ]),
  });
}

async function paint(place: HTMLElement, options: ChartOptions): Promise<void> {
  const { default: Plot } = await import('uplot');
  const { series } = options;
  const data = [series[0].values.map((_, i) => i), ...series.map(({ values }) => [...values])];
  const width = () => Math.max(160, place.clientWidth);
  const bars = Plot.paths.bars?.({ size: [0.92, 120] });
  const drawn: Options = {
    width: width(),
    height,
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false, range: [-0.5, series[0].values.length - 0.5] } },
    axes: [xAxis(place, options), axis(place)],
    series: [{}, ...series.map((one, i) => seriesOf({ place, name: one.name, i, options, bars }))],
  };
  const plot = new Plot(drawn, data as never, place);
  const resized = new ResizeObserver(() => plot.setSize({ width: width(), height }));
  resized.observe(place);
  const painted = () => {
    if (place.isConnected) return plot.redraw();
    document.removeEventListener('colourschange', painted);
    resized.disconnect();
    plot.destroy();
  };
  document.addEventListener('colourschange', painted);
}

interface Drawn {
  readonly place: HTMLElement;
  readonly name: string;
  readonly i: number;
  readonly options: ChartOptions;
  readonly bars: Series['paths'];
}

function seriesOf({ place, name, i, options, bars }: Drawn): Series {
  const stroke = () => colour(place, `series-${i}`);
  if (options.kind === 'bars') {
    return { label: name, stroke, fill: stroke, paths: bars, width: 0, points: { show: false } };
  }
  const shared = { label: name, stroke, dash: [...dashes[i]] };
  return { ...shared, width: 2, points: { show: options.labels.length <= 24, fill: stroke } };
}

function axis(place: HTMLElement): Axis {
  return {
    stroke: () => colour(place, 'axis'),
    grid: { stroke: () => colour(place, 'grid'), width: 1 },
    ticks: { show: false },
    font: '12px system-ui, sans-serif',
    size: 56,
    values: (_, splits) => splits.map((value) => number(value)),
  };
}

function xAxis(place: HTMLElement, { labels, edges, xName }: ChartOptions): Axis {
  const shift = edges ? 0.5 : 0;
  return {
    ...axis(place),
    grid: { show: false },
    size: 36,
    label: xName,
    labelSize: 18,
    labelFont: '12px system-ui, sans-serif',
    splits: ({ width }) => {
      const every = Math.max(1, Math.ceil((labels.length * 62) / width));
      return labels.flatMap((_, i) => (i % every === 0 ? [i - shift] : []));
    },
    values: (_, splits) => splits.map((at) => labels[Math.round(at + shift)] ?? ''),
  };
}

/** The style sheet's colour of a class, as it is now. */
function colour(place: HTMLElement, name: string): string {
  const probe = h('span', { class: name });
  place.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
