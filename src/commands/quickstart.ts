/** `logitcask quickstart`: the whole pipe on the embedded teacher and real text, with a report. */
import { once } from 'node:events';
import { Command } from 'commander';
import { buildConfig } from '../../schemas/build-config.ts';
import { measureSize } from '../audit/size.ts';
import { type BuildReport, build } from '../build.ts';
import { openClient } from '../client/client.ts';
import { resolveConfig } from '../config.ts';
import { openStore } from '../store/table.ts';
import { describeBuild, shownProgress } from './build.ts';
import { type CommandContext, formatCount } from './command.ts';
import { createProgress } from './progress.ts';
import { type PullReport, pullEpoch } from './pull.ts';
import { describeQuickstart } from './quickstart-report.ts';
import { addSettings, givenSettings, type Setting, storeSetting } from './settings.ts';

interface QuickstartFlags {
  readonly once?: boolean;
  readonly json?: boolean;
  readonly port?: string;
  readonly store?: string;
}

const dataset = 'quickstart';
const port: Setting = { flag: '--port <n>', path: 'port', about: 'port of the server' };

export function quickstartCommand(context: CommandContext): Command {
  const command = new Command('quickstart')
    .description(
      'An n-gram teacher scores chapters of a public-domain text that it has not seen; its ' +
        'targets are stored, served on loopback and pulled as a student would. ' +
        'The server stays up.',
    )
    .option('--once', 'stop the server and exit after the report')
    .option(port.flag, `${port.about} (default: 8750, with --once a free one)`)
    .option('--json', 'the report as one JSON object on standard output')
    .addHelpText('after', '\nExample:\n  logitcask quickstart --once')
    .action((flags: QuickstartFlags) => run(context, flags));
  return addSettings(command, 'serve', [storeSetting]);
}

async function run(context: CommandContext, flags: QuickstartFlags): Promise<void> {
  const say = flags.json ? context.note : context.print;
  const given = givenSettings([storeSetting, port], {
    store: flags.store,
    port: flags.port ?? (flags.once ? '0' : undefined),
  });
  const input = await context.configInput(given);
  const config = { ...resolveConfig('serve', input), host: '127.0.0.1' };
  const signal = context.stopSignal();
  say('1 build: the embedded n-gram teacher scores held-out chapters of the King James Version');
  const report = await buildTargets(context, { store: config.store, signal });
  say(describeBuild(report));
  const store = await openStore(config.store);
  try {
    const { startServer } = await import('../serve/server.ts');
    const server = await startServer({ store, config });
    try {
      const { url } = server;
      say(`2 serve: listening on ${url}`);
      say('3 pull: a student takes one epoch of checked batches');
      const pulled = await pullOnce(url, signal);
      const size = await measureSize(store, { dataset, snapshot: report.snapshot });
      if (flags.json) context.print(JSON.stringify({ url, build: report, pulled, size }));
      else context.print(describeQuickstart({ report, pulled, size, url }));
      if (flags.once || signal.aborted) return;
      say(`\nThe server stays up at ${url} until Ctrl-C.`);
      await once(signal, 'abort');
    } finally {
      await server.close();
    }
  } finally {
    await store.close();
  }
}

async function buildTargets(
  context: CommandContext,
  { store, signal }: { store: string; signal: AbortSignal },
): Promise<BuildReport> {
  const config = buildConfig.parse({
    store,
    dataset,
    source: { type: 'ngram', samples: 240 },
    // the data set is small: a reference of the default size would dwarf it
    reference: { positions: 512 },
  });
  const progress = createProgress(context, { unit: 'positions', format: formatCount });
  try {
    return await build(config, {
      dataFolder: context.dataFolder,
      onProgress: (event) => progress.update(shownProgress(event)),
      signal,
    });
  } finally {
    progress.stop();
  }
}

async function pullOnce(url: string, signal: AbortSignal): Promise<PullReport> {
  const client = openClient({ url });
  try {
    const plan = await client.createPlan({ streams: [{ dataset }] });
    return await pullEpoch(client, {
      plan,
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
