#!/usr/bin/env node
/** The program: the only file that reads the environment and configuration files. */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError } from 'commander';
import { buildCommand } from './commands/build.ts';
import type { CommandContext } from './commands/command.ts';
import { inspectCommand } from './commands/inspect.ts';
import { pullCommand } from './commands/pull.ts';
import { quickstartCommand } from './commands/quickstart.ts';
import { serveCommand } from './commands/serve.ts';
import { verifyCommand } from './commands/verify.ts';
import { parseConfigText } from './config.ts';
import { asLogitcaskError, LogitcaskError } from './errors.ts';

const packageRoot = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const signalCodes = { SIGINT: 130, SIGTERM: 143 } as const;
const stop = new AbortController();
let stoppedBy: keyof typeof signalCodes | undefined;

const context: CommandContext = {
  print: (text) => void process.stdout.write(`${text}\n`),
  note: (text) => void process.stderr.write(`${text}\n`),
  isTerminal: process.stderr.isTTY === true,
  dataFolder: join(packageRoot, 'data'),
  signal: stop.signal,
  exitCode: 0,
  async configInput(flags, file) {
    const environment = process.env;
    if (file === undefined) return { flags, environment };
    const text = await readFile(file, 'utf8').catch((cause) => {
      const message = `config: cannot read ${file} (${cause.code})`;
      throw new LogitcaskError('config-unreadable', message, { expected: 'a file', got: file });
    });
    return { flags, environment, file: { name: file, settings: parseConfigText(text, file) } };
  },
};

const program = new Command('logitcask')
  .description('Teacher-logit cache and dataset server for knowledge distillation.')
  .addHelpText('after', '\nStart with:\n  logitcask quickstart --once\n\nExit codes: docs/cli.md')
  .showHelpAfterError('(--help explains every option)')
  .exitOverride();
for (const command of [
  buildCommand,
  serveCommand,
  verifyCommand,
  inspectCommand,
  pullCommand,
  quickstartCommand,
]) {
  program.addCommand(command(context).exitOverride());
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    stoppedBy = signal;
    stop.abort();
  });
}

/** Errors in words, or with --json as one object; on standard error in both cases. */
function report(error: LogitcaskError): void {
  const { code, message, expected, got, retryable } = error;
  if (process.argv.includes('--json')) {
    context.note(JSON.stringify({ code, message, expected, got, retryable }));
    return;
  }
  context.note(`logitcask: ${message}`);
  const show = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));
  context.note(`  code: ${code}`);
  if (expected !== undefined) context.note(`  expected: ${show(expected)}`);
  if (got !== undefined) context.note(`  got: ${show(got)}`);
}

try {
  await program.parseAsync();
  process.exitCode = context.exitCode;
} catch (thrown) {
  if (thrown instanceof CommanderError) {
    process.exitCode = thrown.exitCode === 0 ? 0 : 2;
  } else {
    const error = asLogitcaskError(thrown);
    report(error);
    const bySignal = error.code === 'interrupted' && stoppedBy !== undefined;
    process.exitCode = bySignal ? signalCodes[stoppedBy as 'SIGINT'] : error.exitCode;
    if (error.code === 'internal' && error.cause instanceof Error)
      context.note(error.cause.stack ?? '');
  }
}
