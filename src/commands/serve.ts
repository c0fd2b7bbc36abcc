/** `logitcask serve`: the HTTP server. */
import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { Command } from 'commander';
import { openCachedTeachers } from '../cache/open.ts';
import { teacherAddress } from '../capture/doctor.ts';
import { resolveConfig, type TextSetting } from '../config.ts';
import { openUploads } from '../push/uploads.ts';
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
  {
    flag: '--tokenizer <file>',
    path: 'teachers.teacher.tokenizer',
    about: 'tokenizer.json of the teacher',
  },
  {
    flag: '--top-k <n>',
    path: 'teachers.teacher.top_k',
    about: 'entries of a list, 64 by default',
  },
  { flag: '--dataset <name>', path: 'cache.dataset', about: 'data set of what is scored' },
];

export function serveCommand(context: CommandContext): Command {
  const command = new Command('serve')
    .description(
      'Listens on loopback unless told otherwise; any other address needs tokens in the ' +
        'configuration file. Stops gracefully on SIGINT and SIGTERM.',
    )
    .option('--teacher <address>', 'score on request, and keep it: vllm:http://host:port')
    .option('--offline', 'answer scores from the cache alone')
    .option('--config <file>', 'YAML or JSON; flags override it (docs/config.md)')
    .option('--json', 'print events as JSON, one a line')
    .addHelpText('after', '\nExample:\n  logitcask serve --store data --port 8750')
    .action((flags: ServeFlags) => run(context, flags));
  return addSettings(command, 'serve', settings);
}

/**
 * What a request leaves behind is then collected once in over a hundred requests rather than in
 * twenty, while little of it is in use: less work, and fewer batches that wait for it. The whole
 * heap is looked through when it is four times what was in use the last time, the engine's own
 * most: by less, the buffers of replies alone would have it done every hundred requests.
 */
const engineFlags = ['--semi-space-growth-factor=16', '--heap-growing-percent=300'];

async function run(context: CommandContext, flags: ServeFlags): Promise<void> {
  for (const flag of engineFlags) setFlagsFromString(flag);
  const given = [...givenSettings(settings, flags), ...teacherSettings(flags)];
  const config = resolveConfig('serve', await context.configInput(given, flags.config));
  const say = (event: string, text: string, more: object = {}) =>
    context.print(flags.json ? JSON.stringify({ event, ...more }) : text);
  const signal = context.stopSignal();
  const store = await openStore(config.store);
  try {
    const cached = await openCachedTeachers({
      ...config,
      store,
      onError: ({ code, message }) => say('seal-failed', `seal failed: ${message}`, { code }),
    });
    const uploads = openUploads({ store, leaseMs: config.limits.upload_lease_ms });
    try {
      const { startServer } = await import('../serve/server.ts'); // no other verb waits for it
      const server = await startServer({ store, config, teachers: cached.teachers, uploads });
      say('listening', `listening on ${server.url}`, { url: server.url });
      if (!signal.aborted) await once(signal, 'abort');
      say('stopping', 'stopping: requests under way are answered first');
      await server.close();
    } finally {
      await uploads.close();
      await cached.close();
    }
    say('stopped', 'stopped');
  } finally {
    await store.close();
  }
}

function teacherSettings({ teacher, offline }: ServeFlags): TextSetting[] {
  const of = (origin: string, path: string, text: string) => ({ origin, path, text });
  const address = typeof teacher === 'string' ? teacherAddress(teacher) : undefined;
  return [
    ...(address === undefined
      ? []
      : [
          of('--teacher', 'teachers.teacher.type', address.type),
          of('--teacher', 'teachers.teacher.url', address.url),
        ]),
    ...(offline === true ? [of('--offline', 'cache.offline', 'true')] : []),
  ];
}
