/** Progress: a bar with rate and time left on a terminal, a line every few seconds elsewhere. */
import { Presets, SingleBar } from 'cli-progress';
import { type CommandContext, formatSeconds } from './command.ts';

const lineEveryMs = 5000;
/** A rate over less than this says nothing. */
const rateAfterSeconds = 0.2;

export interface Progress {
  readonly done: number;
  readonly total?: number;
  /** Of the total. */
  readonly isEstimate?: boolean;
  readonly detail?: string;
}

export interface ProgressView {
  update(progress: Progress): void;
  stop(): void;
}

export interface ProgressOptions {
  /** What is counted, in words. */
  readonly unit: string;
  readonly format: (done: number) => string;
}

export function createProgress(context: CommandContext, options: ProgressOptions): ProgressView {
  return context.isTerminal ? bar(options) : lines(context, options);
}

/** Rate since the first update (what an earlier run did does not count), time left, details. */
function createDescriber({ unit, format }: ProgressOptions) {
  let first: { done: number; ms: number } | undefined;
  return ({ done, total, isEstimate, detail }: Progress): string => {
    first ??= { done, ms: performance.now() };
    const seconds = (performance.now() - first.ms) / 1000;
    const rate = seconds < rateAfterSeconds ? 0 : (done - first.done) / seconds;
    const of = isEstimate ? ' of about' : ' of';
    const parts = [`${format(done)}${total === undefined ? '' : `${of} ${format(total)}`} ${unit}`];
    if (rate > 0) parts.push(`${format(rate)}/s`);
    if (rate > 0 && total !== undefined) parts.push(`${formatSeconds((total - done) / rate)} left`);
    if (detail !== undefined) parts.push(detail);
    return parts.join(', ');
  };
}

function bar(options: ProgressOptions): ProgressView {
  const format = '  {bar} {percentage}%  {text}';
  const view = new SingleBar({ format, hideCursor: true, barsize: 20 }, Presets.shades_classic);
  const describe = createDescriber(options);
  let started = false;
  return {
    update(progress) {
      const { done, total = done } = progress;
      const text = describe(progress);
      if (!started) view.start(total, done, { text });
      started = true;
      view.setTotal(total);
      view.update(done, { text });
    },
    stop() {
      if (started) view.stop();
      started = false;
    },
  };
}

function lines({ note }: CommandContext, options: ProgressOptions): ProgressView {
  const describe = createDescriber(options);
  let nextMs = performance.now() + lineEveryMs;
  return {
    update(progress) {
      const text = describe(progress);
      if (performance.now() < nextMs) return;
      nextMs = performance.now() + lineEveryMs;
      note(text);
    },
    stop() {},
  };
}
