/**
 * Whole-file digests: proved before a file is sent, and in the background; damage is remembered.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Manifest, ManifestFile } from '../../schemas/manifest.ts';
import { digestFile } from '../audit/digests.ts';
import { openQuarantine } from '../audit/quarantine.ts';
import { filePath, indexNameOf, shardsOf } from '../shard/names.ts';
import { shardDamaged } from '../shard/shard-file.ts';
import type { Store } from '../store/store.ts';

export interface Integrity {
  /**
   * Resolves once the file's digest is proved; throws `shard-damaged`, now and in every later run.
   */
  check(dataset: string, file: ManifestFile): Promise<void>;
  /** What was proved of a file counts no longer: the next `check` reads it again. */
  forget(dataset: string, file: ManifestFile): void;
  /** How many files are known to be damaged. */
  quarantined(): number;
  /** Throws `shard-damaged` where a file that holds one of the ordinals is known to be damaged. */
  refuseQuarantined(manifest: Manifest, ordinals: readonly number[]): void;
  /** Proves all files of a snapshot, slowly; damage is quarantined, not thrown. */
  checkAll(manifest: Manifest): Promise<void>;
  /** Ends what runs in the background, before its next file. */
  stop(): void;
}

/** In the background a file is read at most at some 64 MB/s, so that steps hardly wait for it. */
const restMs = 4;

export async function openIntegrity(store: Store): Promise<Integrity> {
  const checks = new Map<string, Promise<void>>();
  const quarantine = await openQuarantine(store);
  let stopped = false;
  const waitedFor = new Set<string>(); // what is proved in the background, but asked for by now
  const prove = async (dataset: string, file: ManifestFile, key: string) => {
    const rest = async () => {
      if (!waitedFor.has(key) && !stopped) await sleep(restMs, undefined, { ref: false });
    };
    const found = await digestFile(store, filePath(dataset, file.name), rest);
    const digest = found?.toString('hex');
    if (digest === file.sha256) {
      if (quarantine.of(dataset)[file.name] === undefined) return;
      return quarantine.remove(dataset, file.name); // restored from a good copy
    }
    const damage = { expected: file.sha256, got: digest ?? 'no such file' };
    await quarantine.add(dataset, file.name, damage);
    throw shardDamaged(file.name, damage.expected, damage.got);
  };
  const keyOf = (dataset: string, file: ManifestFile) => `${dataset}/${file.name}`;
  const start = (dataset: string, file: ManifestFile) => {
    const key = keyOf(dataset, file);
    const known = checks.get(key);
    if (known !== undefined) return known;
    const running = prove(dataset, file, key);
    checks.set(key, running);
    running.catch(({ code }) => {
      if (code !== 'shard-damaged') checks.delete(key); // the store failed: nothing is proved yet
    });
    return running;
  };
  return {
    check(dataset, file) {
      waitedFor.add(keyOf(dataset, file));
      return start(dataset, file);
    },
    forget: (dataset, file) => void checks.delete(keyOf(dataset, file)),
    quarantined: () => quarantine.files,
    refuseQuarantined({ dataset, files }, ordinals) {
      const damaged = quarantine.of(dataset);
      if (Object.keys(damaged).length === 0) return;
      let first = 0;
      for (const file of shardsOf({ files })) {
        const end = first + file.samples;
        const known = damaged[file.name] ?? damaged[indexNameOf(file.name)];
        if (known !== undefined && ordinals.some((ordinal) => ordinal >= first && ordinal < end)) {
          throw shardDamaged(file.name, known.expected, known.got);
        }
        first = end;
      }
    },
    async checkAll({ dataset, files }) {
      for (const file of files) {
        if (stopped) return;
        await start(dataset, file).catch(() => {});
      }
    },
    stop() {
      stopped = true;
    },
  };
}
