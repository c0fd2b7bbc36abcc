import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Chart, renderChart } from '../../src/formats/svg-chart.ts';
import { elementsOf } from '../support/xml.ts';

const chart = (points: Chart['panels'][number]['series'][number]['points'], text = 'a'): Chart => ({
  title: text,
  notes: [text],
  xTitle: text,
  panels: [
    {
      title: text,
      series: [
        { name: text, line: 'solid', points },
        { name: 'other', line: 'none', points: points.slice(0, 1) },
      ],
      rules: [{ x: 100, text }],
    },
  ],
});

/** Centres of the circles that points have; those of the legend are larger. */
const places = (svg: string) =>
  [...svg.matchAll(/<circle cx="([^"]*)" cy="([^"]*)" r="3.5"/g)].map(([, x, y]) => [+x, +y]);

describe('a chart as SVG', () => {
  it('is well-formed XML whatever the texts and values are', () => {
    const value = fc.double({ noNaN: false });
    const point = fc.record({ x: value, y: value });
    fc.assert(
      fc.property(fc.array(point, { maxLength: 12 }), fc.string(), (points, text) => {
        const svg = renderChart(chart(points, text.replace(/[^\x20-\x7e]/g, '')));
        expect(elementsOf(svg)[0]).toBe('svg');
        expect(svg).not.toMatch(/NaN|Infinity|undefined/);
      }),
    );
  });

  it('escapes what would be markup', () => {
    const svg = renderChart(chart([{ x: 1, y: 1 }], '</text>&"<script>'));
    expect(elementsOf(svg)).not.toContain('script');
    expect(svg).toContain('&lt;/text&gt;&amp;&quot;&lt;script&gt;');
  });

  it('puts equal ratios at equal distances, larger values right and above', () => {
    const points = [1, 10, 100].map((x) => ({ x, y: x / 1000 }));
    const [a, b, c] = places(renderChart(chart(points)));
    expect(b[0] - a[0]).toBeCloseTo(c[0] - b[0], 0);
    expect(a[1] - b[1]).toBeCloseTo(b[1] - c[1], 0);
    expect(b[0]).toBeGreaterThan(a[0]);
    expect(b[1]).toBeLessThan(a[1]);
  });

  it('leaves out points without a logarithm, and panels without points', () => {
    const svg = renderChart(
      chart([
        { x: 0, y: 1 },
        { x: 1, y: -1 },
      ]),
    );
    expect(places(svg)).toEqual([]);
    expect(svg).not.toContain('class="panel"');
    expect(
      places(
        renderChart(
          chart([
            { x: 5, y: 1 },
            { x: 0, y: 1 },
          ]),
        ),
      ),
    ).toHaveLength(2);
  });

  it('follows the reader to a dark background', () => {
    const svg = renderChart(chart([{ x: 5, y: 1 }]));
    expect(svg).toContain('@media (prefers-color-scheme: dark)');
    expect(svg).toContain('<rect class="back"');
  });
});
