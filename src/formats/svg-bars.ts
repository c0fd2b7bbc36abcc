/** Bars as SVG inside a page: one a row, or a histogram. The page's style has their colours. */
import { escaped } from './markup.ts';

export interface BarChart {
  /** What it shows, in a sentence, for those who cannot see it. */
  readonly title: string;
  readonly rows: readonly BarRow[];
}

export interface BarRow {
  readonly label: string;
  /** Length of the bar, 0 or more. */
  readonly value: number;
  /** The value as it is printed. */
  readonly text: string;
}

export interface HistogramChart {
  readonly title: string;
  /** One more than `counts`, ascending. */
  readonly edges: readonly number[];
  readonly counts: readonly number[];
  /** Of the edges. */
  readonly unit: string;
}

/** Colours that follow the scheme of the reader, and paper. */
export const barStyle = `
  svg { display: block; width: 100%; max-width: 46rem; height: auto; }
  svg text { font: 13px system-ui, sans-serif; fill: currentColor; }
  svg .right { text-anchor: end; } svg .middle { text-anchor: middle; }
  svg .bar { fill: var(--bar); } svg .axis { stroke: currentColor; stroke-opacity: 0.4; }
`;

const width = 720;
const row = { height: 24, bar: 14, label: 270, value: 150 } as const;
const labelLengthMax = 38;
const histogramHeight = 150;

const number = (value: number) => Number(value.toFixed(1));

/** Longer labels are cut in the picture only: tables beside it hold them whole. */
function shortened(label: string): string {
  const signs = [...label];
  return signs.length <= labelLengthMax ? label : `${signs.slice(0, labelLengthMax - 1).join('')}…`;
}

function svg(title: string, height: number, content: readonly string[]): string {
  const alt = escaped(title);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${number(height)}" ` +
      `role="img" aria-label="${alt}">`,
    `<title>${alt}</title>`,
    ...content,
    '</svg>',
  ].join('\n');
}

export function renderBars({ title, rows }: BarChart): string {
  const most = Math.max(...rows.map(({ value }) => value), Number.MIN_VALUE);
  const room = width - row.label - row.value;
  const content = rows.flatMap(({ label, value, text }, i) => {
    const y = i * row.height;
    const length = number((Math.max(0, value) / most) * room);
    const middle = y + row.height / 2 + 4.5;
    const bar = `x="${row.label}" y="${y + 5}" width="${length}" height="${row.bar}"`;
    return [
      `<text x="${row.label - 10}" y="${middle}" class="right">${escaped(shortened(label))}</text>`,
      `<rect class="bar" ${bar}/>`,
      `<text x="${number(row.label + length + 8)}" y="${middle}">${escaped(text)}</text>`,
    ];
  });
  return svg(title, Math.max(1, rows.length) * row.height, content);
}

export function renderHistogram({ title, edges, counts, unit }: HistogramChart): string {
  const most = Math.max(...counts, 1);
  const each = (width - 20) / Math.max(1, counts.length);
  const bottom = histogramHeight - 24;
  const bars = counts.map((count, i) => {
    const height = (count / most) * (bottom - 8);
    const place = `x="${number(10 + i * each)}" y="${number(bottom - height)}"`;
    return `<rect class="bar" ${place} width="${number(each - 1)}" height="${number(height)}"/>`;
  });
  const ends = counts.length === 0 ? [] : [0, Math.floor(counts.length / 2), counts.length];
  const ticks = ends.map((edge, i) => {
    const side = ['', 'middle', 'right'][i];
    const text = `${Number(edges[edge].toPrecision(3))}${i === 2 ? ` ${unit}` : ''}`;
    const x = number(10 + edge * each);
    return `<text x="${x}" y="${bottom + 18}" class="${side}">${escaped(text)}</text>`;
  });
  const axis = `<line x1="10" y1="${bottom}" x2="${width - 10}" y2="${bottom}" class="axis"/>`;
  return svg(title, histogramHeight, [...bars, axis, ...ticks]);
}
