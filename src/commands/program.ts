/** The program: every verb in the order of the pipeline. */
import { Command } from 'commander';
import { version } from '../serve/version.ts';
import type { CommandContext } from './command.ts';

interface Verb {
  readonly name: string;
  readonly summary: string;
  /** Loads its module: all of them would take most of the time of a short command. */
  readonly make: () => Promise<(context: CommandContext) => Command>;
}

const verbs: readonly Verb[] = [
  {
    name: 'quickstart',
    summary: 'build, serve and pull a small real data set, and report',
    make: async () => (await import('./quickstart.ts')).quickstartCommand,
  },
  {
    name: 'plan-storage',
    summary: 'measure what each way of storing targets would cost and lose',
    make: async () => (await import('./plan-storage.ts')).planStorageCommand,
  },
  {
    name: 'doctor',
    summary: 'find out what a server can do as a teacher',
    make: async () => (await import('./doctor.ts')).doctorCommand,
  },
  {
    name: 'build',
    summary: 'score inputs with a teacher and store its targets as a snapshot',
    make: async () => (await import('./build.ts')).buildCommand,
  },
  {
    name: 'label',
    summary: 'ask a teacher for responses and store them as hard labels',
    make: async () => (await import('./label.ts')).labelCommand,
  },
  {
    name: 'import',
    summary: 'store what others have written: top lists, or an exported folder',
    make: async () => (await import('./import.ts')).importCommand,
  },
  {
    name: 'join',
    summary: 'several teachers’ targets of the same samples in one data set',
    make: async () => (await import('./join.ts')).joinCommand,
  },
  {
    name: 'inspect',
    summary: 'show what a store, a snapshot or one sample holds',
    make: async () => (await import('./inspect.ts')).inspectCommand,
  },
  {
    name: 'verify',
    summary: 'check every byte of a snapshot; exit code 3 where damage is found',
    make: async () => (await import('./verify.ts')).verifyCommand,
  },
  {
    name: 'audit',
    summary: 'what a snapshot holds, costs and is worth; exit code 1 where a fault is found',
    make: async () => (await import('./audit.ts')).auditCommand,
  },
  {
    name: 'plan',
    summary: 'make, show and prove the order of an epoch',
    make: async () => (await import('./plan.ts')).planCommand,
  },
  {
    name: 'serve',
    summary: 'serve the snapshots of a store over HTTP',
    make: async () => (await import('./serve.ts')).serveCommand,
  },
  {
    name: 'pull',
    summary: 'pull an epoch of checked batches from a server',
    make: async () => (await import('./pull.ts')).pullCommand,
  },
  {
    name: 'export',
    summary: 'write a snapshot into a folder, as Parquet or Arrow',
    make: async () => (await import('./export.ts')).exportCommand,
  },
];

/**
 * The program for a command line: only verbs that are named there have more than a summary.
 * Throws commander's errors instead of printing them and leaving the process.
 */
export async function createProgram(
  context: CommandContext,
  args: readonly string[] = verbs.map(({ name }) => name),
): Promise<Command> {
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
  for (const { name, summary, make } of verbs) {
    const command = args.includes(name) ? (await make())(context) : new Command(name);
    program.addCommand(inherit(command.summary(summary), program));
  }
  // what else a verb takes is known of those alone that are loaded
  return program.configureHelp({ subcommandTerm: (verb) => verb.name() });
}

function inherit(command: Command, from: Command): Command {
  command.copyInheritedSettings(from);
  for (const verb of command.commands) inherit(verb as Command, command);
  return command;
}
