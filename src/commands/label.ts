/** `logitcask label`: a teacher's responses to prompts, as snapshots and as text. */
import { Command } from 'commander';
import type { Usage } from '../../schemas/manifest.ts';
import { resolveConfig } from '../config.ts';
import { type LabelReport, label } from '../label.ts';
import {
  type CommandContext,
  formatBytes,
  formatCount,
  formatSeconds,
  formatTable,
} from './command.ts';
import { labelSettings } from './label-settings.ts';
import { createProgress } from './progress.ts';
import { addSettings, givenSettings } from './settings.ts';

interface LabelFlags {
  readonly config?: string;
  readonly json?: boolean;
  readonly [name: string]: unknown;
}

export function labelCommand(context: CommandContext): Command {
  const command = new Command('label')
    .description(
      'Asks for responses to each prompt, drops what the filters say, and stores the others, ' +
        'with soft targets where the server gives log-probs, in the data sets NAME-train and ' +
        'NAME-validation. Answers are kept: a run that was stopped goes on without asking twice. ' +
        'A key is read from LOGITCASK_SOURCE__API_KEY.',
    )
    .option('--config <file>', 'YAML or JSON; flags override it (docs/config.md)')
    .option('--json', 'one JSON object on standard output')
    .addHelpText(
      'after',
      '\nExample:\n  logitcask label --prompts prompts.jsonl --url http://127.0.0.1:8000 ' +
        '--tokenizer tokenizer.json --dataset chat --store data',
    )
    .action((flags: LabelFlags) => run(context, flags));
  return addSettings(command, 'label', labelSettings);
}

async function run(context: CommandContext, flags: LabelFlags): Promise<void> {
  const given = givenSettings(labelSettings, flags);
  const config = resolveConfig('label', await context.configInput(given, flags.config));
  const currency = config.price?.currency ?? null;
  const progress = createProgress(context, { unit: 'responses', format: formatCount });
  try {
    const report = await label(config, {
      onProgress: ({ responses, responsesTotal, usage }) =>
        progress.update({
          done: responses,
          total: responsesTotal,
          detail: describeUsage(usage, currency),
        }),
      signal: context.stopSignal(),
    });
    progress.stop();
    context.print(flags.json ? JSON.stringify(report) : describeLabels(report));
  } finally {
    progress.stop();
  }
}

function describeUsage(usage: Usage, currency: string | null): string {
  const { prompt_tokens: prompt, completion_tokens: completion, cost } = usage;
  const price = cost === null ? '' : `, ${cost.toFixed(cost < 1 ? 4 : 2)} ${currency}`;
  return `${formatCount(prompt)} + ${formatCount(completion)} tokens${price}`;
}

function describeLabels(report: LabelReport): string {
  const { counts, usage, asked, currency, sides, snapshots, exported, elapsed } = report;
  const share = (count: number) => [
    formatCount(count),
    `${((100 * count) / counts.responses).toFixed(1)} %`,
  ];
  const { 'duplicate-prompt': samePrompts = 0, ...dropped } = counts.dropped;
  const rows = Object.entries(dropped).map(([reason, count]) => [
    `dropped: ${reason}`,
    ...share(count),
  ]);
  const requests = `${formatCount(asked.requests)} requests in ${formatSeconds(elapsed)}`;
  return [
    `${report.model} on ${report.version}: ${requests}, ${describeUsage(asked, currency)}`,
    `  in all ${formatCount(usage.requests)} requests, ${describeUsage(usage, currency)}`,
    `  ${formatCount(counts.prompts_read)} prompts read, ${formatCount(counts.prompts)} asked, ` +
      `${formatCount(samePrompts)} like one before`,
    formatTable([
      ['responses', formatCount(counts.responses), ''],
      ['kept', ...share(counts.kept)],
      ['  to train with', ...share(sides.train)],
      ['  to validate with', ...share(sides.validation)],
      ...rows,
    ]),
    ...snapshots.map(({ dataset, snapshot, manifest }) => {
      const { samples, positions, bytes } = manifest.totals;
      const held = `${formatCount(samples)} samples, ${formatCount(positions)} positions`;
      return `${dataset}: snapshot ${snapshot}\n  ${held}, ${formatBytes(bytes)}`;
    }),
    ...exported.map((file) => `${file}`),
  ].join('\n');
}
