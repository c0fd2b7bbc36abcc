import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planRequest } from '../../schemas/plan.ts';
import { bytes, duration, number, percent } from '../../web/src/format.ts';
import { linesByArguments, linesByPlan } from '../../web/src/plan/python.ts';
import { heatEdges, heatNames, heatOf } from '../../web/src/samples/heat.ts';
import { positionsOf } from '../../web/src/samples/position.ts';
import { quotedText, visibleText } from '../../web/src/samples/token-text.ts';
import type { PlanReply, Row } from '../../web/src/types.ts';

describe('numbers', () => {
  it('are short and say their unit', () => {
    expect([0, 0.0000912, 0.5, 30.41, 94_538].map(number)).toEqual(
      ['0', '9.12e-5', '0.5', '30.4', '94,538'], // as tables show them
    );
    expect([0, 999, 3_480_112, 5e15].map(bytes)).toEqual(['0 B', '999 B', '3.48 MB', '5 PB']);
    expect(percent(0.3456)).toBe('34.6 %');
    expect([4000, 200_000, 9_000_000].map(duration)).toEqual(['4 s', '3 min', '3 h']);
  });
});

/** Run against a real server by python/tests/test_console_lines.py. */
const golden = JSON.parse(readFileSync('test/golden/console-lines.json', 'utf8')) as {
  request: unknown;
  layout: 'frames' | 'plain';
  lines: string[];
}[];

const set = { ids: [3, 5, 1, 2], probs: [0.2, 0.7, 0.5, 0.25], counts: [2, 0, 2] };
const row = { tokens: [9, 3, 7], mask: [true, true, false] } as unknown as Row;

describe('a position', () => {
  it('has its entries by rank, and an entropy with the rest spread evenly', () => {
    const scaled = { ...set, rest: [0.1, 1, 0.25], label_logprob: null };
    const [first, second, third] = positionsOf(row, scaled, { labelSpace: 10 });
    expect(first.entries.map(({ id }) => id)).toEqual([5, 3]);
    const rest = -0.1 * Math.log(0.1 / 8);
    expect(first.entropy).toBeCloseTo(-0.7 * Math.log(0.7) - 0.2 * Math.log(0.2) + rest, 12);
    expect(first.surprise).toBeCloseTo(-Math.log(0.2), 12);
    expect(second).toMatchObject({ entries: [], entropy: null, surprise: null, learned: true });
    expect(third).toMatchObject({ label: null, surprise: null, learned: false });
  });

  it('believes the stored log-prob of the label before its entry', () => {
    const drawn = { ...set, rest: null, label_logprob: [-1.5, null, null] };
    const [first, second] = positionsOf(row, drawn, { labelSpace: 10 });
    expect(first).toMatchObject({ rest: null, surprise: 1.5 });
    expect(second.surprise).toBe(null);
  });
});

it('colours go up with nats, and every step has a name', () => {
  expect(heatNames).toHaveLength(heatEdges.length + 1);
  const nats = fc.float({ min: 0, max: 30, noNaN: true });
  fc.assert(
    fc.property(nats, nats, (a, b) => {
      const [low, high] = [heatOf(Math.min(a, b)) as number, heatOf(Math.max(a, b)) as number];
      expect(low).toBeLessThanOrEqual(high);
      expect(heatNames[high]).toBeDefined();
    }),
  );
  expect(heatOf(null)).toBe(null);
});

it('texts of tokens are seen, white space too', () => {
  expect(visibleText(' a\n\t', 1)).toBe(' a↵\n⇥');
  expect(quotedText(' a b ', 1)).toBe('␣a b␣');
  expect([visibleText(null, 7), visibleText('', 7)]).toEqual(['#7', '∅']);
});

describe('the lines of Python', () => {
  const reply = {
    plan: 'a'.repeat(64),
    identity: {
      streams: [{ content_id: 'c'.repeat(64) }],
      seed: '0',
      shuffle: { mode: 'global' },
      global_batch: 8,
      epoch_size: null,
      stop: 'all',
      tail: 'short',
    },
    rules: { packing: null, filter: null },
    streams: [{ dataset: 'mine', snapshot: 'b'.repeat(64) }],
  } as unknown as PlanReply;
  const url = 'http://127.0.0.1:8750';
  const options = { url, layout: 'frames' } as const;

  it('name no more than what was asked for', () => {
    expect(linesByPlan(reply, options)).toBe(
      [
        'from logitcask import LogitDataset',
        '',
        'dataset = LogitDataset(',
        `    "${url}",`,
        `    plan="${reply.plan}",`,
        ')',
        'for batch in dataset:',
        '    ...',
      ].join('\n'),
    );
    const [, ...given] = linesByArguments(reply, options).matchAll(/^ {4}(.*),$/gm);
    expect(given.map(([, part]) => part)).toEqual([
      '"mine"',
      `snapshot="${'b'.repeat(64)}"`,
      'global_batch_size=8',
    ]);
  });

  it('are those that the Python client is tested with', () => {
    for (const { request, layout, lines } of golden) {
      const { streams, packing, filter, ...identity } = planRequest.parse(request);
      const shares = streams.map(({ dataset: _, snapshot: __, ...share }) => ({
        content_id: 'c'.repeat(64),
        ...share,
      }));
      const asked = {
        identity: { ...identity, streams: shares },
        rules: { packing, filter },
        streams,
      } as unknown as PlanReply;
      expect(linesByArguments(asked, { url: 'URL', layout })).toBe(lines.join('\n'));
    }
  });

  it('are Python, whatever texts a filter has', () => {
    const texts = fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1, maxLength: 4 });
    const cases = fc.sample(texts, 20);
    const sources = cases.map((values) =>
      linesByArguments(
        { ...reply, rules: { packing: null, filter: { meta: { field: 'source', in: values } } } },
        options,
      ),
    );
    const read = [
      'import ast, json, sys',
      'calls = [ast.parse(text).body[1].value for text in json.load(sys.stdin)]',
      'named = [{k.arg: ast.literal_eval(k.value) for k in call.keywords} for call in calls]',
      'json.dump([one["filter"]["meta"]["in"] for one in named], sys.stdout)',
    ].join('\n');
    const input = JSON.stringify(sources);
    const { stdout, stderr } = spawnSync('python3', ['-c', read], { input, encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual(cases);
  });
});
