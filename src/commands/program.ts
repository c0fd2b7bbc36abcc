/** The program: every verb in the order of the pipeline. */
import { Command } from 'commander';
import { version } from '../serve/version.ts';
import { auditCommand } from './audit.ts';
import { buildCommand } from './build.ts';
import type { CommandContext } from './command.ts';
import { doctorCommand } from './doctor.ts';
import { exportCommand } from './export.ts';
import { importCommand } from './import.ts';
import { inspectCommand } from './inspect.ts';
import { joinCommand } from './join.ts';
import { labelCommand } from './label.ts';
import { planCommand } from './plan.ts';
import { planStorageCommand } from './plan-storage.ts';
import { pullCommand } from './pull.ts';
import { quickstartCommand } from './quickstart.ts';
import { serveCommand } from './serve.ts';
import { verifyCommand } from './verify.ts';

const commands = [
  quickstartCommand,
  planStorageCommand,
  doctorCommand,
  buildCommand,
  labelCommand,
  importCommand,
  joinCommand,
  inspectCommand,
  verifyCommand,
  auditCommand,
  planCommand,
  serveCommand,
  pullCommand,
  exportCommand,
] as const;

/** Throws commander's errors instead of printing them and leaving the process. */
export function createProgram(context: CommandContext): Command {
  const program = new Command('logitcask')
    .description('Teacher-logit cache and dataset server for knowledge distillation.')
    .version(version, '--version', 'print the version')
    .helpOption('--help', 'explain the program or a verb')
    .addHelpText(
      'after',
      '\nExample:\n  logitcask quickstart --once\n\n' +
        'Settings: docs/config.md, exit codes: docs/cli.md',
    )
    .configureOutput({ outputError: () => {} })
    .exitOverride();
  for (const command of commands) {
    program.addCommand(inherit(command(context), program));
  }
  return program;
}

function inherit(command: Command, from: Command): Command {
  command.copyInheritedSettings(from);
  for (const verb of command.commands) inherit(verb as Command, command);
  return command;
}
