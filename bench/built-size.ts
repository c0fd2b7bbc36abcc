/** What a build of a source costs: bytes a position, and its fidelity. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildConfig } from '../schemas/build-config.ts';
import { measureSize } from '../src/audit/size.ts';
import { build } from '../src/build.ts';
import { openStore } from '../src/store/table.ts';

export interface BuiltSize {
  /** Bytes a position: the targets' columns, and shards and indexes whole. */
  readonly targets: number;
  readonly whole: number;
  /** Mean KL in nats. */
  readonly kl: number;
}

/** Builds with `config` (no store named) into a folder that is removed again. */
export async function builtSize(config: Readonly<Record<string, unknown>>): Promise<BuiltSize> {
  const store = mkdtempSync(join(tmpdir(), 'logitcask-sizes-'));
  try {
    const parsed = buildConfig.parse({ ...config, store });
    const { manifest, snapshot } = await build(parsed, { dataFolder: 'data' });
    const opened = await openStore(store);
    const { targets, whole } = await measureSize(opened, { dataset: 'default', snapshot });
    await opened.close();
    return { targets, whole, kl: manifest.target_sets[0].fidelity?.kl?.mean ?? Number.NaN };
  } finally {
    rmSync(store, { recursive: true });
  }
}
