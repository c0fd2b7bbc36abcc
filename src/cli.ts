#!/usr/bin/env node
/** The program's entry: the only file that reads the environment and configuration files. */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CommanderError } from 'commander';
import type { CommandContext } from './commands/command.ts';
import { createProgram } from './commands/program.ts';
import { asLogitcaskError, LogitcaskError } from './errors.ts';
import { problemOf } from './serve/problem-document.ts';

const packageRoot = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const signalCodes = { SIGINT: 130, SIGTERM: 143 } as const;
let stoppedBy: keyof typeof signalCodes | undefined;

const context: CommandContext = {
  print: (text) => void process.stdout.write(`${text}\n`),
  note: (text) => void process.stderr.write(`${text}\n`),
  isTerminal: process.stderr.isTTY === true,
  colour: process.stdout.isTTY === true && !process.env.NO_COLOR,
  dataFolder: join(packageRoot, 'data'),
  token: process.env.LOGITCASK_TOKEN,
  exitCode: 0,
  stopSignal,
  async configInput(flags, file) {
    const environment = process.env;
    if (file === undefined) return { flags, environment };
    return { flags, environment, file: { name: file, settings: await readConfig(file) } };
  },
};

/** The first signal asks the verb to stop; a second one ends the process at once. */
function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      stoppedBy = signal;
      stop.abort();
    });
  }
  return stop.signal;
}

async function readConfig(file: string) {
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    const message = `config: cannot read ${file} (${cause.code}); correct --config`;
    const details = { expected: 'a file that can be read', got: file, cause };
    throw new LogitcaskError('config-unreadable', message, details);
  });
  const { parseConfigText } = await import('./config.ts'); // only verbs have settings
  return parseConfigText(text, file);
}

/** In words, or with --json as a problem document; on standard error in both cases. */
function report(error: LogitcaskError): void {
  const { code, message, expected, got, cause } = error;
  if (process.argv.includes('--json')) {
    context.note(JSON.stringify(problemOf(error, process.argv[2])));
    return;
  }
  const show = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));
  context.note(`logitcask: ${message}`);
  context.note(`  code: ${code}`);
  if (expected !== undefined) context.note(`  expected: ${show(expected)}`);
  if (got !== undefined) context.note(`  got: ${show(got)}`);
  if (code === 'internal' && cause instanceof Error) context.note(cause.stack ?? '');
}

/** What is wrong with the command line; undefined where help or the version was asked for. */
function misuse({ code, exitCode, message }: CommanderError): LogitcaskError | undefined {
  if (exitCode === 0) return undefined;
  const noVerb = code === 'commander.help' || code === 'commander.unknownCommand';
  const said = code === 'commander.help' ? 'a verb is missing' : message.replace(/^error: /, '');
  const words = said.replaceAll('\n', ' ').replace('is invalid. ', 'is invalid: ');
  const help = noVerb ? 'logitcask --help' : `logitcask ${process.argv[2]} --help`;
  return new LogitcaskError('request-invalid', `command line: ${words}; see \`${help}\``);
}

async function main(): Promise<number> {
  try {
    const program = await createProgram(context, process.argv.slice(2));
    await program.parseAsync();
    return context.exitCode;
  } catch (thrown) {
    const isMisuse = thrown instanceof CommanderError;
    const error = isMisuse ? misuse(thrown) : asLogitcaskError(thrown);
    if (error === undefined) return 0;
    report(error);
    const stopped = error.code === 'interrupted' ? stoppedBy : undefined;
    return stopped === undefined ? error.exitCode : signalCodes[stopped];
  }
}

// a reader that has seen enough (`| head`) is no failure
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});
process.exitCode = await main();
