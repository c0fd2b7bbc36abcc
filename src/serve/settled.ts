/** Answers of caches for all sequences of a request, or why there are none. */
import { LogitcaskError } from '../errors.ts';

/** Every sequence is tried, also where one fails: what was scored is then in the cache. */
export async function allScored<T>(answers: readonly Promise<T>[]): Promise<T[]> {
  const found = await Promise.allSettled(answers);
  const failed = found.flatMap((one, row) =>
    one.status === 'rejected' ? [{ row, error: one.reason as unknown }] : [],
  );
  if (failed.length > 0) throw failureOf(failed);
  return found.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
}

/** The first failure; where sequences are not in the cache, all of them are named. */
function failureOf(failed: readonly { row: number; error: unknown }[]): unknown {
  const isMissing = ({ error }: { error: unknown }) =>
    error instanceof LogitcaskError && error.code === 'sample-not-found';
  const other = failed.find((one) => !isMissing(one));
  if (other !== undefined) return other.error;
  const rows = failed.map(({ row }) => row);
  const message = `score: ${rows.length} sequences are not in the cache, and no teacher is asked`;
  return new LogitcaskError('sample-not-found', message, { got: rows });
}
