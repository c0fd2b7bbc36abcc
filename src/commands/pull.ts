/** `logitcask pull`: an epoch of checked batches from a server, as a trainer would take them. */
import { link, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import type { LayoutName } from '../../schemas/batch.ts';
import type { Batch } from '../client/batch.ts';
import { type Client, openClient } from '../client/client.ts';
import { LogitcaskError } from '../errors.ts';
import { type CommandContext, formatBytes, formatCount } from './command.ts';

interface PullFlags {
  snapshot: string;
  seed: string;
  batch: number;
  rank: number;
  world: number;
  epoch: number;
  layout: LayoutName;
  out?: string;
  token?: string;
  json?: boolean;
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

export interface PullOptions {
  readonly dataset: string;
  readonly snapshot: string;
  readonly seed: string;
  readonly batch: number;
  readonly rank: number;
  readonly world: number;
  readonly epoch: number;
  readonly layout: LayoutName;
  readonly signal?: AbortSignal;
  readonly onBatch?: (batch: Batch, step: number) => Promise<void>;
}

export function pullCommand(context: CommandContext): Command {
  return new Command('pull')
    .summary('pull an epoch of checked batches from a server')
    .description(
      'Makes a plan, pulls every step of one epoch for one rank, and checks rows, batches and\n' +
        'the checksum of every frame.',
    )
    .argument('<url>', 'address of the server')
    .argument('<dataset>', 'name of the data set')
    .option('--snapshot <ref>', 'digest or tag', 'latest')
    .option('--seed <n>', 'seed of the shuffle', '0')
    .option('--batch <n>', 'samples of a step, over all ranks', Number, 8)
    .option('--rank <n>', 'this rank', Number, 0)
    .option('--world <n>', 'number of ranks', Number, 1)
    .option('--epoch <n>', 'epoch', Number, 0)
    .addOption(
      new Option('--layout <name>', 'layout')
        .choices(['frames', 'plain', 'dense'])
        .default('frames'),
    )
    .option('--out <folder>', 'write each batch as an Arrow stream file')
    .option('--token <token>', 'bearer token')
    .option('--json', 'one JSON object on standard output')
    .addHelpText(
      'after',
      '\nExample:\n  logitcask pull http://127.0.0.1:8750 default --out batches',
    )
    .action((url: string, dataset: string, flags: PullFlags) =>
      run(context, url, { dataset, ...flags }),
    );
}

async function run(
  context: CommandContext,
  url: string,
  flags: PullFlags & { dataset: string },
): Promise<void> {
  const client = openClient({ url, token: flags.token });
  try {
    const { out } = flags;
    const onBatch =
      out === undefined ? undefined : (batch: Batch, step: number) => save(out, batch, step);
    const report = await pullEpoch(client, { ...flags, signal: context.signal, onBatch });
    const { steps, samples, positions, bytes, seconds } = report;
    context.print(
      flags.json
        ? JSON.stringify(report)
        : `pulled ${formatCount(steps)} steps: ${formatCount(samples)} samples, ` +
            `${formatCount(positions)} positions, ${formatBytes(bytes)}, ` +
            `${formatCount(positions / seconds)} positions/s; every batch and frame checked`,
    );
  } finally {
    client.close();
  }
}

/** Pulls every step of an epoch, the next one while the caller works on the last. */
export async function pullEpoch(client: Client, options: PullOptions): Promise<PullReport> {
  const { dataset, snapshot, seed, batch, epoch, rank, world, layout } = options;
  const plan = await client.createPlan({
    streams: [{ dataset, snapshot }],
    seed,
    global_batch: batch,
  });
  const [stream] = plan.streams;
  const started = performance.now();
  const fetch = (step: number) => {
    const request = { rank, world, layout, snapshot: stream.snapshot };
    const coming = client.step({ plan: plan.plan, epoch, step }, request);
    coming.catch(() => {}); // awaited below; a failure meanwhile is not unhandled
    return coming;
  };
  const totals = { samples: 0, positions: 0, bytes: 0 };
  let coming = fetch(0);
  for (let step = 0; step < plan.steps_per_epoch; step++) {
    if (options.signal?.aborted) throw new LogitcaskError('interrupted', 'pull: stopped');
    const received = await coming;
    if (step + 1 < plan.steps_per_epoch) coming = fetch(step + 1);
    totals.samples += received.rows;
    totals.positions += received.positions;
    totals.bytes += received.bytes.length;
    await options.onBatch?.(received, step);
  }
  const seconds = (performance.now() - started) / 1000;
  const { plan: id, steps_per_epoch: steps } = plan;
  return { plan: id, snapshot: stream.snapshot, steps, ...totals, seconds };
}

/** Whole files only, and never over another: written beside, then linked into place. */
async function save(folder: string, { bytes }: Batch, step: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, `step-${String(step).padStart(8, '0')}.arrows`);
  const temporary = `${path}.tmp-${process.pid}`;
  try {
    await writeFile(temporary, bytes);
    await link(temporary, path); // fails where the name exists
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const known =
      code === 'EEXIST' ? 'store-exists' : code === 'ENOSPC' ? 'store-full' : 'store-failed';
    throw new LogitcaskError(known, `pull: cannot write ${path} (${code})`, { got: code, cause });
  } finally {
    await rm(temporary, { force: true });
  }
}
