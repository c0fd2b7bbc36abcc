/** The report of the quickstart: what was stored, what it costs, how faithful and how fast it is. */
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

const per = (bytes: number) => `${bytes.toFixed(1)} B`;
const times = (ratio: number) => `${ratio >= 100 ? ratio.toFixed(0) : ratio.toFixed(1)} × smaller`;

export function describeQuickstart({ report, pulled, size, url }: QuickstartResult): string {
  const [set] = report.manifest.target_sets;
  const { fidelity, alignment } = set;
  const k = set.sparsifier.parameters.k;
  const sections = [
    ['', 'bytes a position'],
    ['whole distributions, float32', `${formatCount(size.full)} B`],
    [`int32 + float32 top-${k}`, per(size.topK)],
    ['stored targets', `${per(size.targets)}   ${times(size.topK / size.targets)}`],
    [
      'stored files, all columns',
      `${per(size.whole)}   ${times(size.full / size.whole)} than whole`,
    ],
    ...size.columns.map(({ name, bytesPerPosition }) => [`  ${name}`, per(bytesPerPosition)]),
  ];
  const lines = ['', 'What is stored', formatTable(sections.map(([a, b]) => [a, b]))];
  if (fidelity?.kl != null) {
    const { kl, mass, positions } = fidelity;
    lines.push(
      '',
      'How faithful it is',
      `  mass kept   ${(100 * mass).toFixed(2)} % by ${(set.entries / size.positions).toFixed(1)} entries a position`,
      `  KL          mean ${kl.mean.toExponential(2)}, p99 ${kl.p99.toExponential(2)} nats (${positions} reference positions)`,
    );
  }
  if (alignment !== null) {
    const { before, at, after } = alignment;
    lines.push(
      `  alignment   log-prob ${before} / ${at} / ${after} at shifts −1 / 0 / +1: best at 0`,
    );
  }
  lines.push('', 'How fast it was', describeSpeed(report, pulled), '', pythonLines(url, report));
  return lines.join('\n');
}

function describeSpeed({ seconds, positions, reused }: BuildReport, pulled: PullReport): string {
  const rate = (n: number, s: number) => `${formatCount(n / Math.max(s, 1e-9))} positions/s`;
  const pull = [
    'serve and pull',
    formatSeconds(pulled.seconds),
    rate(pulled.positions, pulled.seconds),
  ];
  if (reused) return formatTable([['build', '0.0 s', 'reused'], pull]);
  const stages = (['capture', 'sparsify', 'encode', 'write'] as const).map((stage) => [
    stage,
    formatSeconds(seconds[stage]),
    rate(positions, seconds[stage]),
  ]);
  return formatTable([['prepare', formatSeconds(seconds.prepare), ''], ...stages, pull]);
}

function pythonLines(url: string, { dataset }: BuildReport): string {
  return [
    'Use it from Python (python -m pip install ./python)',
    '  from logitcask import Dataset',
    `  for batch in Dataset("${url}", dataset="${dataset}", batch_size=8):`,
    '      print(batch)',
  ].join('\n');
}
