/** A picture of points on two logarithmic axes as SVG: panels above each other share the x axis. */
import { escaped } from './markup.ts';

export interface ChartPoint {
  readonly x: number;
  readonly y: number;
  /** Written beside it. */
  readonly label?: { readonly text: string; readonly side: 'left' | 'right' };
}

export interface ChartSeries {
  /** Series of one name in a panel share a colour and a line of the legend. */
  readonly name: string;
  readonly line: 'solid' | 'dashed' | 'none';
  readonly points: readonly ChartPoint[];
}

export interface ChartPanel {
  readonly title: string;
  readonly series: readonly ChartSeries[];
  /** Upright lines. */
  readonly rules: readonly { readonly x: number; readonly text: string }[];
}

export interface Chart {
  readonly title: string;
  readonly notes: readonly string[];
  readonly xTitle: string;
  readonly panels: readonly ChartPanel[];
}

const size = { width: 920, panel: 270, left: 66, right: 204, top: 34, gap: 48, line: 17 } as const;
const colours = ['#4477aa', '#e0566a', '#2a9145', '#b8a11f', '#2fa4c7', '#aa3377'];
const plotWidth = size.width - size.left - size.right;
const style = `
  text { font: 12px system-ui, sans-serif; fill: #24292f; }
  .title { font-size: 15px; font-weight: 600; } .panel { font-weight: 600; }
  .back { fill: #ffffff; } .grid { stroke: #d8dee4; } .faint { fill: #57606a; }
  .rule { stroke: #57606a; stroke-dasharray: 2 3; } .right { text-anchor: end; }
  .middle { text-anchor: middle; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .back { fill: #0d1117; } .grid { stroke: #30363d; }
    .faint { fill: #9ba3ad; } .rule { stroke: #9ba3ad; }
  }
`;

type Axis = { readonly ticks: readonly number[]; at(value: number): number };

/** An axis that holds all values, from a round number to a round one, as [from, to] in pixels. */
function axis(values: readonly number[], [from, to]: readonly [number, number]): Axis {
  if (values.length === 0) return { ticks: [], at: () => from };
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const low = Math.floor(Math.log10(least) * 3 + 1e-9) / 3;
  const high = Math.max(low + 1 / 3, Math.ceil(Math.log10(most) * 3 - 1e-9) / 3);
  const steps = high - low > 3 ? [1] : [1, 2, 5];
  const ticks: number[] = [];
  for (let decade = Math.floor(low); decade <= high; decade++) {
    ticks.push(...steps.map((step) => Number(`${step}e${decade}`)));
  }
  const inside = (tick: number) => {
    const place = Math.log10(tick);
    return place >= low - 0.01 && place <= high + 0.01;
  };
  const at = (value: number) => from + ((Math.log10(value) - low) / (high - low)) * (to - from);
  return { ticks: ticks.filter(inside), at };
}

const number = (value: number) => Number(value.toFixed(1));
const tickText = (value: number) =>
  value >= 0.01 && value < 10_000 ? String(value) : value.toExponential(0);

function write(text: string, { x, y, as = '' }: { x: number; y: number; as?: string }): string {
  const kind = as === '' ? '' : ` class="${as}"`;
  return `<text x="${number(x)}" y="${number(y)}"${kind}>${escaped(text)}</text>`;
}

function line(from: readonly [number, number], to: readonly [number, number], as: string): string {
  const [x1, y1, x2, y2] = [...from, ...to].map(number);
  return `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" class="${as}"/>`;
}

function drawSeries(series: ChartSeries, axes: { x: Axis; y: Axis; colour: string }): string[] {
  const { x, y, colour } = axes;
  const places = series.points.map((point) => [number(x.at(point.x)), number(y.at(point.y))]);
  const filled = series.line === 'dashed' ? 'none' : colour;
  const dashes = series.line === 'dashed' ? ' stroke-dasharray="4 3"' : '';
  const path = places.map((place) => place.join(',')).join(' ');
  const out =
    series.line === 'none'
      ? []
      : [`<polyline points="${path}" fill="none" stroke="${colour}"${dashes}/>`];
  places.forEach(([cx, cy], i) => {
    out.push(`<circle cx="${cx}" cy="${cy}" r="3.5" fill="${filled}" stroke="${colour}"/>`);
    const { label } = series.points[i];
    if (label === undefined) return;
    const left = label.side === 'left';
    out.push(write(label.text, { x: cx + (left ? -7 : 7), y: cy + 4, as: left ? 'right' : '' }));
  });
  return out;
}

function drawPanel(panel: ChartPanel, { x, top }: { x: Axis; top: number }): string[] {
  const bottom = top + size.panel;
  const right = size.left + plotWidth;
  const y = axis(
    panel.series.flatMap(({ points }) => points.map((point) => point.y)),
    [bottom, top],
  );
  const out = [write(panel.title, { x: size.left, y: top - 10, as: 'panel' })];
  for (const tick of y.ticks) {
    out.push(line([size.left, y.at(tick)], [right, y.at(tick)], 'grid'));
    out.push(write(tickText(tick), { x: size.left - 8, y: y.at(tick) + 4, as: 'right faint' }));
  }
  for (const tick of x.ticks) {
    out.push(line([x.at(tick), top], [x.at(tick), bottom], 'grid'));
    out.push(write(tickText(tick), { x: x.at(tick), y: bottom + 16, as: 'middle faint' }));
  }
  for (const rule of panel.rules) {
    out.push(line([x.at(rule.x), top], [x.at(rule.x), bottom], 'rule'));
    out.push(write(rule.text, { x: x.at(rule.x) - 5, y: top + 14, as: 'right faint' }));
  }
  const names = [...new Set(panel.series.map(({ name }) => name))];
  const colourOf = (name: string) => colours[names.indexOf(name) % colours.length];
  names.forEach((name, i) => {
    const at = { x: right + 16, y: top + 12 + i * size.line };
    const fill = colourOf(name);
    out.push(`<circle cx="${at.x}" cy="${at.y - 4}" r="4" fill="${fill}"/>`);
    out.push(write(name, { x: at.x + 10, y: at.y }));
  });
  for (const series of panel.series) {
    out.push(...drawSeries(series, { x, y, colour: colourOf(series.name) }));
  }
  return out;
}

const drawable = ({ x, y }: ChartPoint) => [x, y].every((v) => v > 0 && Number.isFinite(v));

/** A whole SVG document. What a logarithmic axis cannot hold is left out, and empty panels. */
export function renderChart(chart: Chart): string {
  const panels = chart.panels.map((panel) => ({
    ...panel,
    series: panel.series
      .map((one) => ({ ...one, points: one.points.filter(drawable) }))
      .filter(({ points }) => points.length > 0),
  }));
  const shown = panels.filter(({ series }) => series.length > 0);
  const xs = shown.flatMap(({ series, rules }) => [
    ...series.flatMap(({ points }) => points.map(({ x }) => x)),
    ...rules.map((rule) => rule.x),
  ]);
  const x = axis(xs, [size.left, size.left + plotWidth]);
  const first = size.top + chart.notes.length * size.line + 30;
  const out: string[] = [write(chart.title, { x: 16, y: 26, as: 'title' })];
  chart.notes.forEach((note, i) => {
    out.push(write(note, { x: 16, y: size.top + 12 + i * size.line, as: 'faint' }));
  });
  shown.forEach((panel, i) => {
    out.push(...drawPanel(panel, { x, top: first + i * (size.panel + size.gap) }));
  });
  const end = first + shown.length * (size.panel + size.gap);
  out.push(write(chart.xTitle, { x: size.left + plotWidth / 2, y: end - 12, as: 'middle' }));
  const box = `${size.width} ${end + 4}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${box}" role="img">`,
    `<title>${escaped(chart.title)}</title>`,
    `<style>${style}</style>`,
    '<rect class="back" width="100%" height="100%"/>',
    ...out,
    '</svg>\n',
  ].join('\n');
}
