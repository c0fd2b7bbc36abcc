/** `logitcask pull`: an epoch of checked batches from a server, as a trainer would take them. */
import { appendFile } from 'node:fs/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { LayoutName } from '../../schemas/batch.ts';
import type { PlanReply } from '../../schemas/plan.ts';
import type { Batch } from '../client/batch.ts';
import { type Client, openClient } from '../client/client.ts';
import { recordOf } from '../client/run-record.ts';
import { LogitcaskError } from '../errors.ts';
import { openStore } from '../store/table.ts';
import { type CommandContext, formatBytes, formatCount, wholeNumber } from './command.ts';
import { seedText } from './plan-request.ts';
import { createProgress } from './progress.ts';

interface PullFlags extends PullView {
  readonly plan?: string;
  readonly snapshot: string;
  readonly seed: string;
  readonly batch: number;
  readonly out?: string;
  readonly record?: string;
  readonly json?: boolean;
}

/** The part of a plan's epoch that is pulled. */
export interface PullView {
  readonly rank: number;
  readonly world: number;
  readonly epoch: number;
  readonly layout: LayoutName;
}

export interface PullReport {
  readonly plan: string;
  readonly snapshot: string;
  readonly steps: number;
  readonly samples: number;
  readonly positions: number;
  readonly bytes: number;
  readonly seconds: number;
}

export interface PullOptions extends PullView {
  readonly plan: PlanReply;
  readonly signal: AbortSignal;
  /** After each step. */
  readonly onBatch?: (batch: Batch, step: number) => Promise<void>;
}

export function pullCommand(context: CommandContext): Command {
  const least = (most: number) => wholeNumber(1, most);
  const ordersPlan = ['seed', 'batch', 'snapshot'];
  return new Command('pull')
    .description(
      'Makes a plan, pulls every step of one epoch for one rank, and checks rows, batches and ' +
        'the checksum of every frame. A token is read from LOGITCASK_TOKEN.',
    )
    .argument('<url>', 'address of the server', address)
    .argument('<dataset>', 'name of the data set')
    .option('--snapshot <ref>', 'digest or tag', 'latest')
    .option('--seed <n>', 'seed of the shuffle', seedText, '0')
    .option('--batch <n>', 'samples of a step, over all ranks', least(1_048_576), 8)
    .addOption(new Option('--plan <id>', 'pull this plan instead').conflicts(ordersPlan))
    .option('--rank <n>', 'this rank', wholeNumber(0, 1_048_575), 0)
    .option('--world <n>', 'number of ranks', least(1_048_576), 1)
    .option('--epoch <n>', 'epoch', wholeNumber(0, 2 ** 32 - 1), 0)
    .addOption(
      new Option('--layout <name>', 'layout')
        .choices(['frames', 'plain', 'dense'])
        .default('frames'),
    )
    .option('--out <folder>', 'write each batch as an Arrow stream file, never over another')
    .option('--record <file>', 'append what was received, for `plan prove` and `plan compare`')
    .option('--json', 'one JSON object on standard output')
    .addHelpText(
      'after',
      '\nExample:\n  logitcask pull http://127.0.0.1:8750 default --out batches',
    )
    .action((url: string, dataset: string, flags: PullFlags) =>
      run(context, { url, dataset, ...flags }),
    );
}

function address(text: string): string {
  if (/^https?:\/\/[^/]+\/?$/.test(text) && URL.canParse(text)) return text.replace(/\/$/, '');
  throw new InvalidArgumentError('give http://host:port');
}

async function run(
  context: CommandContext,
  flags: PullFlags & { url: string; dataset: string },
): Promise<void> {
  const signal = context.stopSignal();
  const client = openClient({ url: flags.url, token: context.token });
  const progress = createProgress(context, { unit: 'steps', format: formatCount });
  const folder = flags.out === undefined ? undefined : await openStore(flags.out);
  try {
    const plan = await planOf(client, flags);
    let bytes = 0;
    const onBatch = async (batch: Batch, step: number) => {
      await folder?.write(fileOf(flags, step), batch.bytes, { replace: false });
      if (flags.record !== undefined) await appendFile(flags.record, recordOf(batch));
      bytes += batch.bytes.length;
      const detail = formatBytes(bytes);
      progress.update({ done: step + 1, total: plan.steps_per_epoch, detail });
    };
    const report = await pullEpoch(client, { ...flags, plan, signal, onBatch });
    progress.stop();
    context.print(flags.json ? JSON.stringify(report) : describe(report));
  } finally {
    progress.stop();
    await folder?.close();
    client.close();
  }
}

async function planOf(
  client: Client,
  { plan: id, dataset, snapshot, seed, batch }: PullFlags & { dataset: string },
): Promise<PlanReply> {
  if (id === undefined) {
    return client.createPlan({ streams: [{ dataset, snapshot }], seed, global_batch: batch });
  }
  const plan = await client.plan(id);
  const names = plan.streams.map((stream) => stream.dataset);
  if (names.includes(dataset)) return plan;
  const message = `pull: plan ${id} does not draw from data set ${dataset}; name one that it does`;
  throw new LogitcaskError('conflict', message, { expected: names, got: dataset });
}

function fileOf({ epoch, rank, world }: PullView, step: number): string {
  return `epoch-${epoch}-step-${String(step).padStart(8, '0')}-rank-${rank}-of-${world}.arrows`;
}

function describe({ steps, samples, positions, bytes, seconds }: PullReport): string {
  return (
    `pulled ${formatCount(steps)} steps: ${formatCount(samples)} samples, ` +
    `${formatCount(positions)} positions, ${formatBytes(bytes)}, ` +
    `${formatCount(positions / seconds)} positions/s; every batch and frame checked`
  );
}

/** Pulls every step of an epoch, the next one while the caller works on the last. */
export async function pullEpoch(client: Client, options: PullOptions): Promise<PullReport> {
  const { plan, epoch, rank, world, layout, signal } = options;
  const [{ snapshot }] = plan.streams;
  const started = performance.now();
  const fetch = (step: number) => {
    // plans are named by content: another snapshot may have made the same one first
    const view = { rank, world, layout, snapshot };
    const coming = client.step({ plan: plan.plan, epoch, step }, view);
    coming.catch(() => {}); // awaited below; a failure meanwhile is not unhandled
    return coming;
  };
  const totals = { samples: 0, positions: 0, bytes: 0 };
  const steps = plan.steps_per_epoch;
  let coming = steps > 0 ? fetch(0) : undefined;
  for (let step = 0; coming !== undefined; step++) {
    if (signal.aborted) {
      throw new LogitcaskError('interrupted', `pull: stopped before step ${step}`);
    }
    const received = await coming;
    coming = step + 1 < steps ? fetch(step + 1) : undefined;
    totals.samples += received.rows;
    totals.positions += received.positions;
    totals.bytes += received.bytes.length;
    await options.onBatch?.(received, step);
  }
  const seconds = (performance.now() - started) / 1000;
  return { plan: plan.plan, snapshot, steps, ...totals, seconds };
}
