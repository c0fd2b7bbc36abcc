/** The log of what a teacher answered, so that a build that is stopped asks it nothing twice. */
import type { Source } from '../capture/source.ts';
import { digestOf } from '../formats/canonical.ts';
import { lockPath, scoresPath } from '../shard/names.ts';
import { acquireLock } from '../store/lock.ts';
import type { Store } from '../store/store.ts';

export interface Scores {
  /** Ends it for good, once what it holds is in a snapshot. */
  remove(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens the log of the source's teacher, if it is one that has to be asked. It belongs to data set
 * and teacher, so that a build of other settings or more texts finds the answers, too. Throws
 * `build-running` where another build uses it, `store-*`.
 */
export async function openScores(store: Store, dataset: string, source: Source): Promise<Scores> {
  if (source.keepIn === undefined) return { async remove() {}, async close() {} };
  const teacher = digestOf(source.identity).slice(0, 16);
  const path = scoresPath(dataset, teacher);
  const lock = await acquireLock(store, lockPath(dataset, `scores-${teacher}`));
  let closeLog = async () => {};
  const close = async () => {
    await closeLog();
    closeLog = async () => {};
  };
  try {
    await source.keepIn(async (visit) => {
      const log = await store.openLog(path, visit);
      closeLog = () => log.close();
      return log;
    });
  } catch (error) {
    await close();
    await lock.release();
    throw error;
  }
  return {
    async remove() {
      await close();
      await store.remove(path);
    },
    async close() {
      await close();
      await lock.release();
    },
  };
}
