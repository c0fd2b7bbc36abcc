/** `logitcask plan`: makes plans, shows them, proves what trainers received, compares two runs. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import {
  compareRuns,
  digestOfSteps,
  type Run,
  type RunStep,
  readRun,
} from '../client/run-record.ts';
import { LogitcaskError } from '../errors.ts';
import { type CommandContext, formatCount } from './command.ts';
import { addRequestFlags, type RequestFlags, requestOf } from './plan-request.ts';
import { type PlanPlace, type PlanSource, withPlans } from './plan-source.ts';
import { compareText, planText, runNotes } from './plan-text.ts';

type Flags = PlanPlace & { readonly json?: boolean };

export function planCommand(context: CommandContext): Command {
  return new Command('plan')
    .description('Plans decide which sample every rank receives at every step (docs/plan.md).')
    .addHelpText('after', '\nExample:\n  logitcask plan create web:proportion=3 code --store data')
    .addCommand(createCommand(context))
    .addCommand(showCommand(context))
    .addCommand(proveCommand(context))
    .addCommand(compareCommand(context));
}

function placed(command: Command): Command {
  return command
    .option('--url <url>', 'a server; otherwise the store is read')
    .option('--store <folder>', 'folder of the store')
    .option('--json', 'one JSON object on standard output');
}

function createCommand(context: CommandContext): Command {
  const command = new Command('create')
    .summary('make a plan, or find the same one again')
    .description(
      'Each data set may name a snapshot and a share: name@tag, name:proportion=3, ' +
        'name:repeat=2, name:choose=1000. Filters and packs are computed once and kept in the ' +
        'store.',
    )
    .argument('<dataset...>', 'data sets to draw from')
    .addHelpText('after', '\nExample:\n  logitcask plan create web --pack 2048 --store data')
    .action((datasets: string[], flags: Flags & RequestFlags) =>
      withPlans(context, flags, async (plans) => {
        const reply = await plans.make(requestOf(datasets, flags));
        context.print(flags.json ? JSON.stringify(reply) : planText(reply));
      }),
    );
  return placed(addRequestFlags(command));
}

function showCommand(context: CommandContext): Command {
  const command = new Command('show')
    .summary('what a plan draws from which streams')
    .argument('<plan>', 'id of the plan')
    .addHelpText('after', '\nExample:\n  logitcask plan show 3f…e1 --url http://127.0.0.1:8750')
    .action((id: string, flags: Flags) =>
      withPlans(context, flags, async (plans) => {
        const reply = await plans.show(id);
        context.print(flags.json ? JSON.stringify(reply) : planText(reply));
      }),
    );
  return placed(command);
}

function proveCommand(context: CommandContext): Command {
  const command = new Command('prove')
    .summary('prove that a run received the order of its plan')
    .description(
      'Reads the lines that `pull --record` or a LogitDataset with record= wrote, of all ranks, ' +
        'and compares digests of the sample ids with those of the plan. Exit code 1 where they ' +
        'differ.',
    )
    .argument('<run...>', 'files of the run, or folders with them')
    .addHelpText('after', '\nExample:\n  logitcask plan prove runs/a --store data')
    .action((paths: string[], flags: Flags) =>
      withPlans(context, flags, async (plans) => {
        const run = await readPaths(paths);
        for (const note of runNotes(paths[0], run)) context.note(note);
        const proof = await prove(plans, run);
        if (proof.difference !== null) context.exitCode = 1;
        context.print(flags.json ? JSON.stringify(proof) : proofText(proof));
      }),
    );
  return placed(command);
}

function compareCommand(context: CommandContext): Command {
  return new Command('compare')
    .summary('compare the order of two runs')
    .description('Exit code 1 where a step that both have differs, or where they share none.')
    .argument('<first>', 'file of a run, or a folder with its files')
    .argument('<second>', 'the other run')
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', '\nExample:\n  logitcask plan compare runs/a runs/b')
    .action(async (first: string, second: string, flags: { json?: boolean }) => {
      const runs = [await readPaths([first]), await readPaths([second])];
      runs.forEach((run, i) => {
        for (const note of runNotes([first, second][i], run)) context.note(note);
      });
      const comparison = compareRuns(runs[0], runs[1]);
      if (comparison.difference !== null || comparison.compared === 0) context.exitCode = 1;
      context.print(flags.json ? JSON.stringify(comparison) : compareText(comparison));
    });
}

async function readPaths(paths: readonly string[]): Promise<Run> {
  try {
    const files: string[] = [];
    for (const path of paths) {
      if (!(await stat(path)).isDirectory()) files.push(path);
      else files.push(...(await readdir(path)).sort().map((name) => join(path, name)));
    }
    const texts = files.map(async (name) => ({ name, text: await readFile(name, 'utf8') }));
    return readRun(await Promise.all(texts));
  } catch (cause) {
    if (cause instanceof LogitcaskError) throw cause;
    const message = `plan: cannot read the run (${(cause as Error).message})`;
    throw new LogitcaskError('source-unreadable', message, { cause });
  }
}

interface Proof {
  readonly steps: number;
  readonly rows: number;
  /** The first step that is not as planned. */
  readonly difference: { plan: string; epoch: number; step: number } | null;
}

/** Neighbouring steps are proved by one digest; where it differs, the step is looked for. */
async function prove(plans: PlanSource, { steps }: Run): Promise<Proof> {
  const rows = steps.reduce((sum, step) => sum + step.rows.length, 0);
  const equal = async (run: readonly RunStep[]) => {
    const [{ plan, epoch, step: from }] = run;
    const { digest } = await plans.digest(plan, { epoch, from, to: from + run.length });
    return digest === digestOfSteps(run);
  };
  for (let start = 0; start < steps.length; ) {
    const { plan, epoch, step } = steps[start];
    let end = start + 1;
    const goesOn = (next: RunStep) =>
      next.plan === plan && next.epoch === epoch && next.step === step + (end - start);
    while (end < steps.length && goesOn(steps[end])) end++;
    let run = steps.slice(start, end);
    if (!(await equal(run))) {
      while (run.length > 1) {
        const half = run.slice(0, run.length >> 1);
        run = (await equal(half)) ? run.slice(half.length) : half;
      }
      return { steps: steps.length, rows, difference: { plan, epoch, step: run[0].step } };
    }
    start = end;
  }
  return { steps: steps.length, rows, difference: null };
}

function proofText({ steps, rows, difference }: Proof): string {
  if (difference === null) {
    return `proved: ${formatCount(steps)} steps, ${formatCount(rows)} rows, in the plan's order`;
  }
  const { plan, epoch, step } = difference;
  return `not the order of plan ${plan}: it differs at epoch ${epoch}, step ${step}`;
}
