/** `logitcask quickstart`: the whole pipe on the embedded teacher and real text, with a report. */
import { once } from 'node:events';
import { Command } from 'commander';
import { buildConfig } from '../../schemas/build-config.ts';
import { serveConfig } from '../../schemas/serve-config.ts';
import { measureSize } from '../audit/size.ts';
import { type BuildReport, build } from '../build.ts';
import { openClient } from '../client/client.ts';
import { startServer } from '../serve/server.ts';
import { openStore } from '../store/table.ts';
import { describeBuild } from './build.ts';
import type { CommandContext } from './command.ts';
import { createProgress } from './progress.ts';
import { type PullReport, pullEpoch } from './pull.ts';
import { describeQuickstart } from './quickstart-report.ts';

interface QuickstartFlags {
  store: string;
  port: number;
  once?: boolean;
  json?: boolean;
}

const dataset = 'quickstart';

export function quickstartCommand(context: CommandContext): Command {
  return new Command('quickstart')
    .summary('build, serve and pull a small real data set, and report')
    .description(
      'An n-gram teacher scores chapters of a public-domain text that it has not seen; its targets\n' +
        'are stored, served on loopback and pulled as a student would. The server stays up.',
    )
    .option('--store <folder>', 'folder of the store', 'logitcask-data')
    .option('--port <n>', 'port of the server, 0 for a free one', Number, 0)
    .option('--once', 'stop the server and exit after the report')
    .option('--json', 'the report as one JSON object on standard output')
    .addHelpText('after', '\nExample:\n  logitcask quickstart --once')
    .action((flags: QuickstartFlags) => run(context, flags));
}

async function run(context: CommandContext, flags: QuickstartFlags): Promise<void> {
  const say = flags.json ? context.note : context.print;
  say('1 build: the embedded n-gram teacher scores held-out chapters of the King James Version');
  const report = await buildTargets(context, flags.store);
  say(describeBuild(report));
  const store = await openStore(flags.store);
  const config = serveConfig.parse({ store: flags.store, port: flags.port });
  const server = await startServer({ store, config });
  try {
    say(`2 serve: listening on ${server.url}`);
    say('3 pull: a student takes one epoch of checked batches');
    const pulled = await pullOnce(context, server.url);
    const size = await measureSize(store, { dataset, snapshot: report.snapshot });
    if (flags.json) context.print(JSON.stringify({ url: server.url, build: report, pulled, size }));
    else context.print(describeQuickstart({ report, pulled, size, url: server.url }));
    if (flags.once !== true && !context.signal.aborted) {
      say('The server stays up until Ctrl-C.');
      await once(context.signal, 'abort');
    }
  } finally {
    await server.close();
    await store.close();
  }
}

async function buildTargets(context: CommandContext, store: string): Promise<BuildReport> {
  const config = buildConfig.parse({
    store,
    dataset,
    source: { type: 'ngram', samples: 240 },
    temperatures: [2],
    // the data set is small: a reference of the default size would dwarf it
    reference: { positions: 512 },
  });
  const progress = createProgress(context);
  try {
    return await build(config, {
      dataFolder: context.dataFolder,
      onProgress: progress.update,
      signal: context.signal,
    });
  } finally {
    progress.stop();
  }
}

async function pullOnce({ signal }: CommandContext, url: string): Promise<PullReport> {
  const client = openClient({ url });
  try {
    return await pullEpoch(client, {
      dataset,
      snapshot: 'latest',
      seed: '0',
      batch: 8,
      rank: 0,
      world: 1,
      epoch: 0,
      layout: 'frames',
      signal,
    });
  } finally {
    client.close();
  }
}
