/** Progress of a build: a bar with rate and time left on a terminal, plain lines elsewhere. */
import { Presets, SingleBar } from 'cli-progress';
import type { BuildProgress } from '../build.ts';
import { type CommandContext, formatBytes, formatCount, formatSeconds } from './command.ts';

const lineEveryMs = 5000;

export interface ProgressView {
  update(progress: BuildProgress): void;
  stop(): void;
}

export function createProgress(context: CommandContext): ProgressView {
  return context.isTerminal ? bar() : lines(context);
}

function describe(progress: BuildProgress, rate: number): string {
  const { samples, shards, bytes, positions, positionsTotal } = progress;
  const left =
    positionsTotal === undefined || rate === 0
      ? ''
      : `, ${formatSeconds((positionsTotal - positions) / rate)} left`;
  return (
    `${formatCount(rate)} positions/s${left}, ${formatCount(samples)} samples, ` +
    `${shards} shards, ${formatBytes(bytes)}`
  );
}

/** Positions per second since the first update: an earlier run's do not count. */
function rateMeter() {
  let first: { positions: number; ms: number } | undefined;
  return (positions: number): number => {
    first ??= { positions, ms: performance.now() };
    const seconds = (performance.now() - first.ms) / 1000;
    return seconds < 0.2 ? 0 : (positions - first.positions) / seconds;
  };
}

function bar(): ProgressView {
  const format = '  {bar} {percentage}%  {detail}';
  const view = new SingleBar({ format, hideCursor: true, clearOnComplete: false }, Presets.rect);
  const rate = rateMeter();
  let started = false;
  return {
    update(progress) {
      const detail = describe(progress, rate(progress.positions));
      const total = progress.positionsTotal ?? progress.positions;
      if (!started) view.start(total, progress.positions, { detail });
      started = true;
      view.setTotal(total);
      view.update(progress.positions, { detail });
    },
    stop() {
      if (started) view.stop();
    },
  };
}

function lines({ note }: CommandContext): ProgressView {
  const rate = rateMeter();
  let nextMs = performance.now() + lineEveryMs;
  return {
    update(progress) {
      const speed = rate(progress.positions);
      if (performance.now() < nextMs) return;
      nextMs = performance.now() + lineEveryMs;
      const { positions, positionsTotal } = progress;
      const total = positionsTotal === undefined ? '' : ` of ${formatCount(positionsTotal)}`;
      note(`${formatCount(positions)}${total} positions: ${describe(progress, speed)}`);
    },
    stop() {},
  };
}
