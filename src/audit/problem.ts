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

export function wrongManifest(expected: unknown, got: unknown): LogitcaskError {
  const message = 'verify: the manifest contradicts its files; build the data set again';
  return new LogitcaskError('manifest-invalid', message, { expected, got });
}
