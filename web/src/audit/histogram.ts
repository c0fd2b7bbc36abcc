/** A histogram of the report as a chart over its bins. */
import { number } from '../format.ts';
import { chart } from '../parts/chart.ts';
import type { Histogram } from '../types.ts';

export interface HistogramOptions {
  readonly caption: string;
  readonly xName: string;
  readonly yName: string;
  readonly histogram: Histogram;
}

export function histogramChart({ caption, xName, yName, histogram }: HistogramOptions) {
  return chart({
    caption,
    kind: 'bars',
    xName,
    labels: histogram.edges.map(number),
    edges: true,
    series: [{ name: yName, values: histogram.counts }],
  });
}
