/** `logitcask verify`: proves every digest, index, frame and sample id of a snapshot. */
import { Command } from 'commander';
import { type VerifyReport, verifySnapshot } from '../audit/verify.ts';
import { type CommandContext, formatBytes, formatCount, withStore } from './command.ts';
import { createProgress } from './progress.ts';
import { addSettings, storeSetting } from './settings.ts';

const damageFound = 3;

interface VerifyOptions {
  readonly dataset: string;
  readonly snapshot: string;
  readonly json?: boolean;
  readonly store?: string;
}

export function verifyCommand(context: CommandContext): Command {
  const command = new Command('verify')
    .description(
      'Reads everything, repairs nothing. Names each damaged file with what was expected and ' +
        'what is there.',
    )
    .argument('<dataset>', 'name of the data set')
    .argument('[snapshot]', 'digest or tag', 'latest')
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', '\nExample:\n  logitcask verify default latest --store data')
    .action((dataset: string, snapshot: string, flags: Pick<VerifyOptions, 'json' | 'store'>) =>
      run(context, { dataset, snapshot, ...flags }),
    );
  return addSettings(command, 'store', [storeSetting]);
}

async function run(context: CommandContext, options: VerifyOptions): Promise<void> {
  const { dataset, snapshot, json } = options;
  const progress = createProgress(context, { unit: 'checked', format: formatBytes });
  try {
    const report = await withStore(context, options, (store) =>
      verifySnapshot(store, {
        dataset,
        snapshot,
        onProgress: ({ bytes, bytesTotal }) => progress.update({ done: bytes, total: bytesTotal }),
      }),
    );
    progress.stop();
    context.exitCode = report.problems.length === 0 ? 0 : damageFound;
    context.print(json ? JSON.stringify(report) : describe(report));
  } finally {
    progress.stop();
  }
}

function describe({ dataset, snapshot, problems, ...report }: VerifyReport): string {
  const { files, bytes, samples, positions } = report;
  return [
    `${dataset}: snapshot ${snapshot}`,
    `  ${files} files, ${formatBytes(bytes)}, ${formatCount(samples)} samples, ` +
      `${formatCount(positions)} positions`,
    ...problems.map(({ code, file, message }) => `  DAMAGED ${file}: ${message} (${code})`),
    problems.length === 0 ? '  everything is as it was written' : `  ${problems.length} problems`,
  ].join('\n');
}
