/** `logitcask audit`: what a snapshot holds, costs and is worth, and what is wrong with it. */
import { Command, InvalidArgumentError } from 'commander';
import type { AuditReport } from '../../schemas/audit.ts';
import { auditSnapshot } from '../audit/audit.ts';
import { costOf } from '../audit/cost.ts';
import { measureDrift } from '../audit/drift.ts';
import { resolveSnapshot } from '../shard/snapshot.ts';
import type { Store } from '../store/store.ts';
import { renderAudit } from './audit-html.ts';
import { describeAudit } from './audit-text.ts';
import { checkThresholds, missedThresholds, type Thresholds } from './audit-thresholds.ts';
import { type Audited, verdictOf } from './audit-words.ts';
import { type CommandContext, formatBytes, wholeNumber, withStore } from './command.ts';
import { newFile } from './new-file.ts';
import { createPaint } from './paint.ts';
import { createProgress } from './progress.ts';
import { addSettings, storeSetting } from './settings.ts';

const faultFound = 1;

interface AuditFlags extends Thresholds {
  readonly store?: string;
  readonly against?: Against;
  readonly storagePrice?: number;
  readonly egressPrice?: number;
  readonly currency: string;
  readonly bandwidth?: number;
  readonly workers?: number;
  readonly html?: string;
  readonly json?: boolean;
}

interface AuditOptions extends AuditFlags {
  readonly dataset: string;
  readonly snapshot: string;
}

export function auditCommand(context: CommandContext): Command {
  const command = new Command('audit')
    .description(
      'Reads every byte once: size and what would save, integrity, alignment, fidelity, ' +
        'coverage. Keeps the report in the store. Stopped (Ctrl-C), it goes on behind what ' +
        'it has read when it is run again.',
    )
    .argument('<dataset>', 'name of the data set')
    .argument('[snapshot]', 'digest or tag', 'latest')
    .option(
      '--against <set>',
      'measure the drift from another target set: DATASET[@SNAPSHOT][:SET]',
      against,
    )
    .option('--max-kl <nats>', 'fault where the mean KL of scaled targets is above', positive)
    .option('--min-mass <mass>', 'fault where scaled targets keep less mass than this', share)
    .option('--max-bytes-per-position <n>', 'fault where targets take more than this', positive)
    .option('--storage-price <price>', 'of a GB stored for a month', price)
    .option('--egress-price <price>', 'of a GB sent', price)
    .option('--currency <name>', 'of the prices', 'USD')
    .option('--bandwidth <bytes>', 'most bytes to read in a second, e.g. 50MB', bandwidth)
    .option('--workers <n>', 'threads; all cores by default', wholeNumber(1, 1024))
    .option('--html <file>', 'write the report as one page, never over another file')
    .option('--json', 'one JSON object on standard output')
    .addHelpText(
      'after',
      '\nExample:\n  logitcask audit default latest --store data --html report.html',
    )
    .action((dataset: string, snapshot: string, flags: AuditFlags) =>
      run(context, { dataset, snapshot, ...flags }),
    );
  return addSettings(command, 'store', [storeSetting]);
}

async function run(context: CommandContext, options: AuditOptions): Promise<void> {
  const { html, json } = options;
  const page =
    html === undefined ? undefined : await newFile(html, { verb: 'audit', flag: '--html' });
  try {
    const audited = await withStore(context, options, (store) => audit(context, store, options));
    await page?.write(renderAudit(audited));
    const { report, drift } = audited;
    context.exitCode = verdictOf(report) === 'bad' ? faultFound : 0;
    if (json) {
      context.print(JSON.stringify(drift === undefined ? report : { ...report, drift }));
      return;
    }
    context.print(describeAudit(audited, createPaint(context.colour ?? false)));
    if (html !== undefined) context.print(`\nReport\n  ${html}`);
  } finally {
    await page?.close();
  }
}

async function audit(
  context: CommandContext,
  store: Store,
  options: AuditOptions,
): Promise<Audited> {
  const { dataset, workers, bandwidth: bytesPerSecondMax } = options;
  const { id: snapshot, manifest } = await resolveSnapshot(store, dataset, options.snapshot);
  checkThresholds(options, manifest);
  const before = options.against && (await resolveAgainst(store, options.against));
  const progress = createProgress(context, { unit: 'read', format: formatBytes });
  const signal = context.stopSignal();
  try {
    const found = await auditSnapshot(store, {
      dataset,
      snapshot,
      workers,
      bytesPerSecondMax,
      signal,
      onProgress: ({ progress: { bytes, bytes_total }, findings }) =>
        progress.update({
          done: bytes,
          total: bytes_total,
          detail: findings.length === 0 ? undefined : `${findings.length} findings`,
        }),
    });
    progress.stop();
    const drift =
      before && (await measureDrift(store, { before, after: { dataset, snapshot }, signal }));
    return { report: completed(found, options), drift };
  } finally {
    progress.stop();
  }
}

/** Prices and thresholds are of one run: the report in the store has neither. */
function completed(report: AuditReport, options: AuditOptions): AuditReport {
  const { storagePrice, egressPrice, currency } = options;
  const priced = storagePrice !== undefined || egressPrice !== undefined;
  const prices = { currency, storagePerGbMonth: storagePrice ?? 0, egressPerGb: egressPrice ?? 0 };
  const size = priced ? { ...report.size, cost: costOf(report.size, prices) } : report.size;
  const findings = [...missedThresholds(report, options), ...report.findings];
  return { ...report, size, findings };
}

interface Against {
  readonly dataset: string;
  readonly snapshot: string;
  readonly set?: string;
}

function against(text: string): Against {
  const [, dataset, snapshot = 'latest', set] =
    /^([^@:]+)(?:@([^@:]+))?(?::([^@:]+))?$/.exec(text) ?? [];
  if (dataset !== undefined) return { dataset, snapshot, set };
  throw new InvalidArgumentError('give DATASET, DATASET@SNAPSHOT or DATASET@SNAPSHOT:SET');
}

/** Found before the audit begins. */
async function resolveAgainst(store: Store, { dataset, snapshot, set }: Against) {
  const { id } = await resolveSnapshot(store, dataset, snapshot);
  return { dataset, snapshot: id, set };
}

function numberWhere(fits: (value: number) => boolean, words: string) {
  return (text: string) => {
    const value = /^[0-9.]+(?:e-?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
    if (fits(value)) return value;
    throw new InvalidArgumentError(`give ${words}`);
  };
}

const positive = numberWhere((value) => value > 0, 'a number above 0');
const share = numberWhere((value) => value > 0 && value <= 1, 'a number above 0, at most 1');
const price = numberWhere((value) => value >= 0, 'a price, 0 or more');

const units: Readonly<Record<string, number>> = { '': 1, kB: 1e3, MB: 1e6, GB: 1e9 };

function bandwidth(text: string): number {
  const [, amount, unit = ''] = /^([0-9.]+)(kB|MB|GB)?$/.exec(text) ?? [];
  const bytes = Number(amount) * units[unit];
  if (bytes >= 1) return bytes;
  throw new InvalidArgumentError('give bytes a second, e.g. 50000000 or 50MB');
}
