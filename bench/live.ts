/** The live cache: hits, misses, crowds and kills. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Benchmark } from './figure.ts';
import { hits } from './live-hits.ts';
import { randomKills } from './live-kills.ts';
import { manyScorers, missOverhead } from './live-load.ts';
import { recorderFigures } from './live-recorder.ts';

export const live: Benchmark = {
  name: 'live',
  summary: 'the live cache: hits beside other servers, misses, crowds, kills, the recorder',
  async *run(log) {
    const folder = mkdtempSync(join(tmpdir(), 'logitcask-live-'));
    try {
      yield* hits(folder, log);
      yield* missOverhead(folder, log);
      yield* manyScorers(folder, log);
      yield* randomKills(folder, log);
      yield* recorderFigures(log);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
};
