/** What is wrong with a file of a snapshot, as data. */
import { asLogitcaskError, type ErrorCode, LogitcaskError } from '../errors.ts';

export interface Problem {
  readonly code: ErrorCode;
  readonly file: string;
  readonly message: string;
}

export interface FoundProblem extends Problem {
  readonly expected: unknown;
  readonly got: unknown;
  /** The file's bytes are not those of the manifest: servers must not send it. */
  readonly isDamage: boolean;
}

/** What was thrown, said of a file. */
export function problemOf(file: string, thrown: unknown, isDamage = false): FoundProblem {
  const { code, message, expected, got } = asLogitcaskError(thrown);
  return { code, file, message, expected, got, isDamage };
}

/** What reading of stored values throws where they are not those that were written. */
const damageCodes: readonly string[] = ['store-not-found', 'row-invalid', 'token-out-of-range'];

/** Whether a file is damaged or gone, which integrity will say. */
export function isDamage(thrown: unknown): boolean {
  const { code, exitCode } = asLogitcaskError(thrown);
  return exitCode === 3 || damageCodes.includes(code);
}

/** What says nothing of a file: the store failed, the work was stopped, or a defect of our own. */
export function isFailure(thrown: unknown): boolean {
  const error = asLogitcaskError(thrown);
  if (error.code === 'internal') return true;
  // a link in the place of a file is damage, though the store fails to follow it
  return error.retryable && (error.cause as NodeJS.ErrnoException | undefined)?.code !== 'ELOOP';
}

export function wrongManifest(expected: unknown, got: unknown): LogitcaskError {
  const message = 'verify: the manifest contradicts its files; build the data set again';
  return new LogitcaskError('manifest-invalid', message, { expected, got });
}
