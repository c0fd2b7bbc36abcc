import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type CommandContext,
  formatBytes,
  formatCount,
  formatSeconds,
  formatTable,
} from '../../src/commands/command.ts';
import { createProgress } from '../../src/commands/progress.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('progress where there is no terminal', () => {
  it('is a line every five seconds, with the rate of this run and the time left', () => {
    const lines: string[] = [];
    const context = { isTerminal: false, note: (text: string) => lines.push(text) };
    const view = createProgress(context as unknown as CommandContext, {
      unit: 'positions',
      format: formatCount,
    });
    // an earlier run did the first 1,000
    for (let second = 0; second <= 12; second++) {
      view.update({ done: 1000 + 100 * second, total: 11_000, detail: '2 shards' });
      vi.advanceTimersByTime(1000);
    }
    view.stop();
    expect(lines).toEqual([
      '1,500 of 11,000 positions, 100/s, 1 min 35 s left, 2 shards',
      '2,000 of 11,000 positions, 100/s, 1 min 30 s left, 2 shards',
    ]);
  });

  it('says where the total is an estimate', () => {
    const lines: string[] = [];
    const context = { isTerminal: false, note: (text: string) => lines.push(text) };
    const view = createProgress(context as unknown as CommandContext, {
      unit: 'positions',
      format: formatCount,
    });
    view.update({ done: 0, total: undefined, isEstimate: true });
    vi.advanceTimersByTime(5000);
    view.update({ done: 1000, total: 3100, isEstimate: true });
    expect(lines).toEqual(['1,000 of about 3,100 positions, 200/s, 11 s left']);
  });

  it('says neither share nor time left where the total is not known', () => {
    const lines: string[] = [];
    const context = { isTerminal: false, note: (text: string) => lines.push(text) };
    const view = createProgress(context as unknown as CommandContext, {
      unit: 'read',
      format: formatBytes,
    });
    view.update({ done: 0 });
    vi.advanceTimersByTime(5000);
    view.update({ done: 10_000 });
    expect(lines).toEqual(['10.0 kB read, 2.00 kB/s']);
  });
});

describe('numbers for people', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [74.78, '74.8 B'],
    [999.7, '1.00 kB'],
    [1000, '1.00 kB'],
    [999_499, '999 kB'],
    [999_500, '1.00 MB'],
    [12_800_000, '12.8 MB'],
    [5e15, '5.00 PB'],
  ])('%d bytes read %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  it.each([
    [0.04, '0.0 s'],
    [9.94, '9.9 s'],
    [59.4, '59 s'],
    [59.6, '1 min 0 s'],
    [119.7, '2 min 0 s'],
  ])('%d seconds read %s', (seconds, text) => expect(formatSeconds(seconds)).toBe(text));

  it('stand in columns', () => {
    const rows = [
      ['a', '1', ''],
      ['long name', '1,000', 'x'],
    ];
    expect(formatTable(rows)).toBe('  a              1\n  long name  1,000  x');
  });
});
