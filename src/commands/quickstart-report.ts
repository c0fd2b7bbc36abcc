/** The report of the quickstart: what is stored, what it costs, how faithful and how fast it is. */
import type { SizeReport } from '../audit/size.ts';
import type { BuildReport } from '../build.ts';
import { formatCount, formatSeconds, formatTable } from './command.ts';
import type { PullReport } from './pull.ts';

export interface QuickstartResult {
  readonly report: BuildReport;
  readonly pulled: PullReport;
  readonly size: SizeReport;
  readonly url: string;
}

export function describeQuickstart(result: QuickstartResult): string {
  const sections = [describeStored(result), describeFidelity(result), describeSpeed(result)];
  return ['', ...sections, pythonLines(result)].join('\n\n').slice(1);
}

const times = (ratio: number) => `${ratio >= 100 ? ratio.toFixed(0) : ratio.toFixed(1)} ×`;

function describeStored({ size }: QuickstartResult): string {
  const topK = `top-${size.topK / 8}`;
  const smaller = (bytes: number) =>
    `${times(size.topK / bytes)} smaller than ${topK}, ${times(size.full / bytes)} than whole`;
  const rows: [name: string, bytes: number, note?: string][] = [
    ['whole distributions, float32', size.full],
    [`int32 + float32 ${topK}`, size.topK],
    ['stored targets', size.targets, smaller(size.targets)],
    ['stored files, shards and indexes', size.whole, smaller(size.whole)],
    ...size.columns.map(({ name, bytesPerPosition }): [string, number] => [
      `  ${name}`,
      bytesPerPosition,
    ]),
  ];
  const table = formatTable(
    rows.map(([name, bytes]) => [name, bytes >= 1000 ? formatCount(bytes) : bytes.toFixed(1)]),
  );
  const lines = table.split('\n').map((line, i) => `${line}   ${rows[i][2] ?? ''}`.trimEnd());
  return ['What is stored, bytes a position', ...lines].join('\n');
}

function describeFidelity({ report, size }: QuickstartResult): string {
  const [{ fidelity, alignment, entries }] = report.manifest.target_sets;
  const lines = ['How faithful it is'];
  if (fidelity?.squared_error != null) {
    const { squared_error: error, mass, positions } = fidelity;
    const each = (entries / size.positions).toFixed(1);
    const [mean, p99] = [error.mean, error.p99].map((value) => value.toExponential(2));
    lines.push(
      `  unbiased    ${each} entries a position, drawn so that p is their expectation`,
      `  weights     sum to ${mass.toFixed(4)} on average`,
      `  variance    mean ${mean}, p99 ${p99} (${positions} positions)`,
    );
  }
  if (alignment !== null) {
    const { before, at, after } = alignment;
    const values = [before, at, after].map((value) => value.toFixed(2)).join(' / ');
    lines.push(`  alignment   log-prob of the token ${values} at shifts −1 / 0 / +1: best at 0`);
  }
  return lines.join('\n');
}

function describeSpeed({ report, pulled }: QuickstartResult): string {
  const { seconds, positions, reused } = report;
  const rate = (count: number, spent: number) =>
    `${formatCount(count / Math.max(spent, 1e-9))} positions/s`;
  const stages = (['capture', 'sparsify', 'encode', 'write'] as const).map((stage) => [
    stage,
    formatSeconds(seconds[stage]),
    rate(positions, seconds[stage]),
  ]);
  const built = reused
    ? [['build', formatSeconds(seconds.prepare), 'reused']]
    : [
        ['prepare', formatSeconds(seconds.prepare), ''],
        ...stages,
        ['finish', formatSeconds(seconds.finish), rate(positions, seconds.finish)],
      ];
  const pull = [
    'serve and pull',
    formatSeconds(pulled.seconds),
    rate(pulled.positions, pulled.seconds),
  ];
  return `How fast it was\n${formatTable([...built, pull])}`;
}

function pythonLines({ report, url }: QuickstartResult): string {
  return [
    'Use it from Python (python -m pip install ./python)',
    '  from logitcask import LogitDataset',
    `  for batch in LogitDataset("${url}", "${report.dataset}", layout="dense"):`,
    '      print(batch["tokens"].shape, batch["teacher_ids"].shape)',
  ].join('\n');
}
