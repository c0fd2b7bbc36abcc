/** `logitcask serve`: the HTTP server. */
import { once } from 'node:events';
import { Command } from 'commander';
import { keysOf } from '../../schemas/keys.ts';
import { serveConfig } from '../../schemas/serve-config.ts';
import { resolveConfig } from '../config.ts';
import { startServer } from '../serve/server.ts';
import { openStore } from '../store/table.ts';
import type { CommandContext } from './command.ts';

interface ServeFlags {
  config?: string;
  store?: string;
  host?: string;
  port?: number;
  json?: boolean;
}

export function serveCommand(context: CommandContext): Command {
  return new Command('serve')
    .summary('serve the snapshots of a store over HTTP')
    .description(
      'Listens on loopback unless told otherwise; any other address needs tokens in the\n' +
        'configuration file. Stops gracefully on SIGINT and SIGTERM.',
    )
    .option('--config <file>', 'YAML or JSON; flags override it (docs/config.md)')
    .option('--store <folder>', 'folder of the store (default: logitcask-data)')
    .option('--host <address>', 'address to bind (default: 127.0.0.1)')
    .option('--port <n>', 'port, 0 for a free one (default: 8750)', Number)
    .option('--json', 'print events as JSON, one a line')
    .addHelpText('after', '\nExample:\n  logitcask serve --store data --port 8750')
    .action((flags: ServeFlags) => run(context, flags));
}

async function run(context: CommandContext, flags: ServeFlags): Promise<void> {
  const { config: file, json = false, ...settings } = flags;
  const input = await context.configInput(settings, file);
  const config = resolveConfig(serveConfig, keysOf(serveConfig), input);
  const store = await openStore(config.store);
  const server = await startServer({ store, config });
  const say = (event: string, text: string, more: object = {}) =>
    context.print(json ? JSON.stringify({ event, ...more }) : text);
  say('listening', `listening on ${server.url}`, { url: server.url });
  if (!context.signal.aborted) await once(context.signal, 'abort');
  say('stopping', 'stopping: requests under way are answered first');
  await server.close();
  await store.close();
  say('stopped', 'stopped');
}
