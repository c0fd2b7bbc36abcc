/** What the operating system says about a file, as our codes. */
import { type ErrorCode, LogitcaskError } from '../errors.ts';

const codes: Readonly<Record<string, { code: ErrorCode; advice: string }>> = {
  ENOENT: { code: 'store-not-found', advice: 'nothing is stored under that name' },
  ENOTDIR: { code: 'store-not-found', advice: 'a file stands where its folder would be' },
  EISDIR: { code: 'store-not-found', advice: 'it is a folder' },
  EEXIST: { code: 'store-exists', advice: 'another writer was first' },
  ENOSPC: { code: 'store-full', advice: 'free some space and run it again' },
  EDQUOT: { code: 'store-full', advice: 'the quota is used up: free some space and run it again' },
  EFBIG: {
    code: 'store-full',
    advice: 'the file size limit is reached: raise it and run it again',
  },
  EROFS: { code: 'store-failed', advice: 'the file system is read-only' },
  EACCES: { code: 'store-failed', advice: 'check the permissions of the folder' },
  EMFILE: { code: 'store-failed', advice: 'raise the limit on open files (ulimit -n)' },
  ELOOP: { code: 'store-failed', advice: 'symbolic links are not followed: store the file itself' },
};

export function storeError(what: string, cause: unknown): LogitcaskError {
  if (cause instanceof LogitcaskError) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  const known = codes[code ?? ''] ?? { code: 'store-failed', advice: message };
  return new LogitcaskError(known.code, `store: cannot ${what} (${code}): ${known.advice}`, {
    got: code,
    cause,
  });
}

export async function guard<T>(what: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    throw storeError(what, cause);
  }
}
