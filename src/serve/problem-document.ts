/**
 * An error as an RFC 9457 problem document. Apart from what sends it: the program prints such
 * documents without the server, which takes longer to load than most verbs.
 */
import { errors, type LogitcaskError } from '../errors.ts';

export function problemOf(error: LogitcaskError, instance: string) {
  return {
    type: `urn:logitcask:error:${error.code}`,
    title: errors[error.code][3],
    status: error.status,
    detail: error.message,
    code: error.code,
    expected: error.expected ?? null,
    got: error.got ?? null,
    retryable: error.retryable,
    instance,
  };
}
