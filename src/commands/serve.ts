/** `logitcask serve`: the HTTP server. */
import { once } from 'node:events';
import { Command } from 'commander';
import { resolveConfig } from '../config.ts';
import { startServer } from '../serve/server.ts';
import { openStore } from '../store/table.ts';
import type { CommandContext } from './command.ts';
import { addSettings, givenSettings, type Setting, storeSetting } from './settings.ts';

interface ServeFlags {
  readonly config?: string;
  readonly json?: boolean;
  /** Settings, as text. */
  readonly [name: string]: unknown;
}

const settings: readonly Setting[] = [
  storeSetting,
  { flag: '--host <address>', path: 'host', about: 'address to bind' },
  { flag: '--port <n>', path: 'port', about: 'port, 0 for a free one' },
];

export function serveCommand(context: CommandContext): Command {
  const command = new Command('serve')
    .summary('serve the snapshots of a store over HTTP')
    .description(
      'Listens on loopback unless told otherwise; any other address needs tokens in the ' +
        'configuration file. Stops gracefully on SIGINT and SIGTERM.',
    )
    .option('--config <file>', 'YAML or JSON; flags override it (docs/config.md)')
    .option('--json', 'print events as JSON, one a line')
    .addHelpText('after', '\nExample:\n  logitcask serve --store data --port 8750')
    .action((flags: ServeFlags) => run(context, flags));
  return addSettings(command, 'serve', settings);
}

async function run(context: CommandContext, flags: ServeFlags): Promise<void> {
  const input = await context.configInput(givenSettings(settings, flags), flags.config);
  const config = resolveConfig('serve', input);
  const say = (event: string, text: string, more: object = {}) =>
    context.print(flags.json ? JSON.stringify({ event, ...more }) : text);
  const signal = context.stopSignal();
  const store = await openStore(config.store);
  try {
    const server = await startServer({ store, config });
    say('listening', `listening on ${server.url}`, { url: server.url });
    if (!signal.aborted) await once(signal, 'abort');
    say('stopping', 'stopping: requests under way are answered first');
    await server.close();
    say('stopped', 'stopped');
  } finally {
    await store.close();
  }
}
