/** Logs into snapshots while the cache serves: each adds to the one before. */
import type { BuildSettings } from '../../schemas/build-config.ts';
import type { AlignmentCheck } from '../../schemas/manifest.ts';
import { buildFrom } from '../build.ts';
import { chunksOf } from '../capture/lists-sample.ts';
import { maskOf, type Source } from '../capture/source.ts';
import { digestOf } from '../formats/canonical.ts';
import { createReader } from '../shard/open-snapshot.ts';
import { headSnapshot, type ResolvedSnapshot } from '../shard/snapshot.ts';
import type { Store } from '../store/store.ts';
import { decodeCacheRecord } from './record.ts';
import type { Segment } from './segments.ts';
import type { TeacherCache } from './teacher-cache.ts';

export interface SealOptions {
  readonly store: Store;
  readonly settings: BuildSettings;
  readonly tokenizerJson: Uint8Array | undefined;
  readonly alignment: AlignmentCheck | undefined;
  readonly licence: string;
}

/** Seals what is in the logs; each is removed once its snapshot is there. */
export async function sealCache(cache: TeacherCache, options: SealOptions): Promise<void> {
  const { store, settings, alignment } = options;
  if (cache.segments.active.log.isEmpty === false) await cache.rotate();
  for (const segment of cache.segments.closed) {
    const offsets = cache.offsetsIn(segment);
    if (offsets.length > 0) {
      const parent = await headSnapshot(store, settings);
      const source = sourceOf(cache, { segment, offsets, parent, ...options });
      const { snapshot, manifest } = await buildFrom(settings, async () => source, {
        parent,
        alignment,
      });
      const reader = createReader(store, { id: snapshot, manifest });
      cache.seal(reader, { segment: segment.number, offsets });
    }
    await cache.segments.remove(segment);
  }
}

interface Sealing extends SealOptions {
  readonly segment: Segment;
  readonly offsets: readonly number[];
  readonly parent: ResolvedSnapshot | undefined;
}

function sourceOf(cache: TeacherCache, sealing: Sealing): Source {
  const { segment, offsets, parent, tokenizerJson, licence } = sealing;
  const { identity, name } = cache;
  const { number, log } = segment;
  return {
    identity,
    inputs: {
      origin: `sequences scored on request by ${identity.name}, top ${cache.k}`,
      licence,
      digest: digestOf({ parent: parent?.id ?? null, name, number, offsets }),
    },
    tokenizerJson,
    async *chunks(from) {
      for (let ordinal = from; ordinal < offsets.length; ordinal++) {
        const { scored, learnedFrom, meta } = decodeCacheRecord(await log.read(offsets[ordinal]));
        const { tokens, rows } = scored;
        const mask = maskOf(tokens.length, learnedFrom);
        yield* chunksOf({ tokens, mask, meta, rows }, ordinal);
      }
    },
    async close() {},
  };
}
