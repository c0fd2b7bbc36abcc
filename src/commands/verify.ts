/** `logitcask verify`: proves every digest, index, frame and sample id of a snapshot. */
import { Command } from 'commander';
import { verifySnapshot } from '../audit/verify.ts';
import { openStore } from '../store/table.ts';
import { type CommandContext, formatBytes, formatCount } from './command.ts';

interface VerifyFlags {
  store: string;
  json?: boolean;
}

export function verifyCommand(context: CommandContext): Command {
  return new Command('verify')
    .summary('check every byte of a snapshot; exit code 3 where damage is found')
    .description(
      'Reads everything, repairs nothing. Names each damaged file with what was expected and\n' +
        'what is there.',
    )
    .argument('<dataset>', 'name of the data set')
    .argument('[snapshot]', 'digest or tag', 'latest')
    .option('--store <folder>', 'folder of the store', 'logitcask-data')
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', '\nExample:\n  logitcask verify default latest --store data')
    .action((dataset: string, snapshot: string, flags: VerifyFlags) =>
      run(context, { dataset, snapshot, ...flags }),
    );
}

async function run(
  context: CommandContext,
  { dataset, snapshot, store: folder, json }: VerifyFlags & { dataset: string; snapshot: string },
): Promise<void> {
  const store = await openStore(folder);
  try {
    const report = await verifySnapshot(store, { dataset, snapshot });
    const { problems, files, bytes, samples, positions } = report;
    context.exitCode = problems.length === 0 ? 0 : 3;
    if (json) {
      context.print(JSON.stringify(report));
      return;
    }
    context.print(
      `${dataset}: snapshot ${report.snapshot}\n  ${files} files, ${formatBytes(bytes)}, ` +
        `${formatCount(samples)} samples, ${formatCount(positions)} positions`,
    );
    for (const { code, file, message } of problems)
      context.print(`  DAMAGED ${file}: ${message} (${code})`);
    context.print(
      problems.length === 0 ? '  everything is as it was written' : `  ${problems.length} problems`,
    );
  } finally {
    await store.close();
  }
}
