/** What decompressed blocks cost beyond their bytes: full collections and page faults. */
import { execFileSync } from 'node:child_process';
import { constants, type NodeGCPerformanceDetail, PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { zstdCompress, zstdDecompress } from '../../src/formats/zstd.ts';

const [major] = process.versions.node.split('.').map(Number);

test.runIf(major < 24)('blocks are freed by collections of the young heap', async () => {
  const rawBytes = 1024 * 1024;
  const block = zstdCompress(new Uint8Array(rawBytes));
  const young: number[] = [];
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { kind } = (entry as unknown as { detail: NodeGCPerformanceDetail }).detail;
      if (kind === constants.NODE_PERFORMANCE_GC_MINOR) young.push(entry.startTime);
    }
  });
  observer.observe({ entryTypes: ['gc'] });
  for (let i = 0; i < 400; i++) {
    zstdDecompress(block, rawBytes);
    if (i % 4 === 3) await turn(); // native memory is freed as the event loop turns
  }
  await expect.poll(() => young.length).toBeGreaterThanOrEqual(8); // one for 32 MiB
  observer.disconnect();
});

/** In a process of its own: what ran before may have taught the C library. Prints MiB. */
const script = `
  import { readFileSync } from 'node:fs';
  import { zstdCompress, zstdDecompress } from './dist/src/formats/zstd.js';
  zstdDecompress(zstdCompress(new Uint8Array(1000)), 1000);
  gc(); // frees, at last when it begins again
  gc();
  globalThis.held = Buffer.allocUnsafeSlow(20 * 1024 * 1024);
  const [, from, to] = /^(\\w+)-(\\w+) .*\\[heap\\]$/m.exec(readFileSync('/proc/self/maps', 'latin1'));
  console.log((parseInt(to, 16) - parseInt(from, 16)) / 1024 ** 2);
`;

const { glibcVersionRuntime } = (
  process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } }
).header;

test.runIf(glibcVersionRuntime !== undefined)(
  'the C library keeps large blocks in its heap',
  () => {
    const args = ['--expose-gc', '--input-type=module', '-e', script];
    const printed = execFileSync(process.execPath, args);
    expect(Number(printed)).toBeGreaterThanOrEqual(20);
  },
);
