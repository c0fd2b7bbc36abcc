/** Runs named benchmarks and prints a table, or with --json one object a line. */

import { audit } from './audit.ts';
import { capture } from './capture.ts';
import { codec } from './codec.ts';
import { type Benchmark, type Figure, printTable } from './figure.ts';
import { kernels } from './kernels.ts';
import { live } from './live.ts';
import { losses } from './losses.ts';
import { parquet } from './parquet.ts';
import { pipe } from './pipe.ts';
import { plan } from './plan.ts';
import { serve } from './serve.ts';
import { teaches } from './teaches.ts';
import { vision } from './vision.ts';

const benchmarks: readonly Benchmark[] = [
  pipe,
  kernels,
  codec,
  parquet,
  plan,
  serve,
  capture,
  live,
  teaches,
  losses,
  audit,
  vision,
];

async function main(args: readonly string[]): Promise<number> {
  if (args.includes('--list')) {
    for (const { name, summary } of benchmarks) console.log(`${name.padEnd(10)} ${summary}`);
    return 0;
  }
  const json = args.includes('--json');
  const names = args.filter((arg) => !arg.startsWith('--'));
  const chosen = benchmarks.filter(({ name }) => names.includes(name));
  if (chosen.length === 0 || chosen.length !== names.length) {
    console.error(`usage: npm run bench -- NAME [--json] | --list; names: ${names}`);
    return 2;
  }
  let failed = 0;
  for (const benchmark of chosen) {
    const figures: Figure[] = [];
    for await (const figure of benchmark.run((text) => console.error(`# ${text}`))) {
      figures.push(figure);
      if (json) console.log(JSON.stringify(figure));
      if (figure.ok === false) failed++;
    }
    if (!json) printTable(benchmark, figures);
  }
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
